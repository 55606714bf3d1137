"""Submissions on their way from the edge: those of one customer are decided in batches, each with its own answer.

A batch is one transaction of the tenant that sent it: the locks and all that is read in one message, one plan, and all
that is written, with the answers that retries get, in another one that ends with the commit.
"""

from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field

from fastapi import Response
from psycopg.errors import UniqueViolation

from broker.http.caller import Caller
from broker.http.idempotency import (
    TWIN_ANSWERED,
    Claim,
    EarlierAnswer,
    find_answers,
    keep_answers,
    name_principal,
    read_answers,
)
from broker.jobs.admission import AdmissionPlan, JobRequest, Order
from broker.jobs.admission_batch import (
    SUBMITTED,
    read_admission_snapshot,
    read_orders,
    tell_submitted,
    write_admissions,
)
from broker.jobs.events import log_event
from broker.jobs.schemas import JobOut
from broker.persistence.batches import Batches
from broker.persistence.database import WAKE
from broker.persistence.driver import COMMIT, run_together
from broker.quotes import service as quotes
from broker.quotes.count_needs import meet_count_needs
from broker.quotes.service import Quote
from broker.work import STAFF, Work

# Whose scope, and the customer.
Place = tuple[str, str]


@dataclass(frozen=True)
class Submission:
    """An order with its caller; `context` is what the log lines of its request carry."""

    caller: Caller
    order: Order
    context: Context = field(default_factory=copy_context)


@dataclass
class SubmissionAnswers:
    """The answers of a batch, those that earlier requests with the same keys got, and those that are to be kept."""

    plan: AdmissionPlan
    earlier: dict[str, EarlierAnswer]
    kept: list[tuple[Claim, Response]] = field(default_factory=list)

    def answer(self, submission: Submission) -> Response:
        """Answer a submission; of two with one key the second gets the first one's answer.

        Raises: as `AdmissionPlan.admit` does.
        """
        claim = submission.caller.claim
        if claim is not None and claim.key in self.earlier:
            return self.earlier[claim.key].replay(claim)
        job = JobOut.of(self.plan.admit(submission.order), self.plan.snapshot.moment)
        response = Response(job.model_dump_json(), 201, media_type="application/json")
        if claim is not None:
            self.kept.append((claim, response))
            body = bytes(response.body).decode()
            self.earlier[claim.key] = EarlierAnswer(claim.fingerprint, response.status_code, body)
        return response


class Submissions:
    """The submissions that a process is asked to decide."""

    def __init__(self, wait_seconds: float) -> None:
        self.batches = Batches[Place, Submission, Response](_decide, wait_seconds)

    async def submit(self, caller: Caller, request: JobRequest, made: Quote | None) -> Response:
        """Have a request decided in the next batch of its customer; `made` is the quote that it does not name.

        Raises: as `AdmissionPlan.admit` does; Busy, TooManyAtOnce.
        """
        actor, claim = caller.actor, caller.claim
        hold_key = None if claim is None else f"{actor.customer_id or actor.id}:{claim.key}"
        place = (name_principal(actor), request.customer_id)
        return await self.batches.ask(place, Submission(caller, Order(request, made, hold_key)))


async def make_quote_for(caller: Caller, request: JobRequest) -> Quote:
    """Make the quote of a request that names none, in transactions of its own; it is kept with the job."""
    await caller.answer_if_known()
    await meet_count_needs(caller.look, [request.config], request.dataset_id)
    async with caller.look() as work:
        return await quotes.make_quote(work, request.config, request.dataset_id, quotes.QuoteTerms(request.contract_id))


async def _decide(_place: Place, submissions: Sequence[Submission]) -> list[Response | Exception]:
    """Decide a batch; anew, where a request elsewhere has used one of its keys meanwhile."""
    try:
        return await _decide_once(submissions)
    except UniqueViolation as error:
        if error.diag.constraint_name != TWIN_ANSWERED:
            raise
        return await _decide_once(submissions)


async def _decide_once(submissions: Sequence[Submission]) -> list[Response | Exception]:
    caller = submissions[0].caller
    moment = caller.services.clock()
    claims = [each.caller.claim for each in submissions if each.caller.claim is not None]
    reading = read_orders([each.order for each in submissions], moment, seen_by=caller.actor.confined_to)
    async with caller.open_with([*reading, find_answers(caller.actor, claims)]) as (work, (*found, earlier)):
        plan = AdmissionPlan(await read_admission_snapshot(work, found, moment), work.new_id)
        answers = SubmissionAnswers(plan, read_answers(earlier))
        given = [_answer(answers, submission) for submission in submissions]
        await _write(work, answers, submissions, given)
    for admission in plan.admitted:
        submission = next(each for each in submissions if each.order is admission.order)
        submission.context.run(log_event, admission.job, SUBMITTED, tell_submitted(admission.job))
    return given


def _answer(answers: SubmissionAnswers, submission: Submission) -> Response | Exception:
    """Answer a submission, or tell what is wrong with it: deciding is pure, so whatever is raised is its own fault."""
    try:
        return answers.answer(submission)
    except Exception as error:  # noqa: BLE001 (one that cannot be decided keeps no other from its answer)
        return error


async def _write(
    work: Work, answers: SubmissionAnswers, submissions: Sequence[Submission], given: Sequence[Response | Exception]
) -> None:
    """Write what was admitted, and commit; what staff decided is recorded before."""
    commands = [*write_admissions(work, answers.plan), *keep_answers(work, answers.kept)]
    if not commands:
        return
    if work.actor.role not in STAFF:
        await run_together(work.connection, commands, after=WAKE + b";" + COMMIT)
        return
    await run_together(work.connection, commands, after=WAKE)
    for submission, response in zip(submissions, given, strict=True):
        if isinstance(response, Response):
            await submission.caller.record(work, response)
