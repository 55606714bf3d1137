"""Submissions on their way from the edge: those of one moment are decided together, each with its own answer.

A batch is one transaction of the tenants that sent it: the locks and all that is read in one message, a plan for each
tenant from its own rows alone, and all that is written, with the answers that retries get, in another one that ends
with the commit.
"""

from collections.abc import Collection, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import Response
from psycopg.errors import UniqueViolation

from broker.contracts.reading.candidates import Place
from broker.http.caller import Caller, open_together
from broker.http.idempotency import (
    TWIN_ANSWERED,
    Claim,
    EarlierAnswer,
    find_answers,
    keep_answers,
    name_principal,
    read_answers,
)
from broker.jobs.admitting.admission import AdmissionPlan, Order
from broker.jobs.admitting.admission_batch import (
    SUBMITTED,
    read_admission_snapshots,
    read_orders,
    tell_submitted,
    write_admissions,
)
from broker.jobs.admitting.request import JobRequest
from broker.jobs.events import log_event
from broker.jobs.schemas import JobOut
from broker.persistence.batches import Turns
from broker.persistence.database import WAKE_FOR_SUBMITTED, TimeLimits
from broker.persistence.driver import COMMIT, Command, Row, run_together
from broker.persistence.joint_batches import JointBatches
from broker.quotes import service as quotes
from broker.quotes.counts.count_needs import meet_count_needs
from broker.quotes.service import Quote
from broker.work import STAFF, Actor, Role, Work

# Whose scope, and whose use of which contract.
Turn = tuple[str, Place]
# So long a batch of several tenants waits for one lock: longer than other batches take, shorter than anyone notices.
JOINT_LOCK_SECONDS = 0.5
# Of the advisory lock by which the processes take turns (`SharedTurn`).
ADMISSION_TURN = 7_203_117


@dataclass(frozen=True)
class Submission:
    """An order with its caller; `context` is what the log lines of its request carry."""

    caller: Caller
    order: Order
    context: Context = field(default_factory=copy_context)

    @property
    def claimed(self) -> tuple[Actor, Claim] | None:
        """Tell who claims which key; None for a request without one."""
        return None if self.caller.claim is None else (self.caller.actor, self.caller.claim)


@dataclass
class SubmissionAnswers:
    """The answers of a batch, those that earlier requests with the same keys got, and those that are to be kept."""

    plans: Mapping[str, AdmissionPlan]
    earlier: dict[tuple[str, str], EarlierAnswer]
    kept: list[tuple[Actor, Claim, Response]] = field(default_factory=list)

    def answer(self, submission: Submission) -> Response:
        """Answer a submission; of two with one key the second gets the first one's answer.

        Raises: as `AdmissionPlan.admit` does.
        """
        if submission.claimed is None:
            return self._decide(submission.order)
        actor, claim = submission.claimed
        name = (name_principal(actor), claim.key)
        if name in self.earlier:
            return self.earlier[name].replay(claim)
        response = self._decide(submission.order)
        self.kept.append((actor, claim, response))
        self.earlier[name] = EarlierAnswer(claim.fingerprint, response.status_code, bytes(response.body).decode())
        return response

    def _decide(self, order: Order) -> Response:
        plan = self.plans[order.request.customer_id]
        job = JobOut.of(plan.admit(order), plan.snapshot.moment)
        return Response(job.model_dump_json(), 201, media_type="application/json")


class Submissions:
    """The submissions that a process is asked to decide: together, or where that fails contract by contract.

    So one tenant's contract that is locked for long, or whatever else of it fails, holds nobody else up.
    """

    def __init__(self, wait_seconds: float, turns: Turns | None = None) -> None:
        self.batches = JointBatches[Turn, Submission, Response](
            _decide_together, _decide_apart, wait_seconds, turns=turns, expected=(UniqueViolation,)
        )

    async def submit(self, caller: Caller, request: JobRequest, made: Quote | None) -> Response:
        """Have a request decided in the next batch; `made` is the quote that it does not name.

        Raises: as `AdmissionPlan.admit` does; Busy, TooManyAtOnce.
        """
        actor, claim = caller.actor, caller.claim
        hold_key = None if claim is None else f"{actor.customer_id or actor.id}:{claim.key}"
        submission = Submission(caller, Order(request, made, hold_key))
        ask = self.batches.ask if actor.role == Role.CUSTOMER else self.batches.ask_apart
        return await ask((name_principal(actor), request.place), submission)


async def make_quote_for(caller: Caller, request: JobRequest) -> Quote:
    """Make the quote of a request that names none, in transactions of its own; it is kept with the job."""
    await caller.answer_if_known()
    await meet_count_needs(caller.look, [request.config], request.dataset_id)
    async with caller.look() as work:
        terms = quotes.QuoteTerms(request.contract_id, project_id=request.project_id)
        return await quotes.make_quote(work, request.config, request.dataset_id, terms)


async def _decide_together(submissions: Sequence[Submission]) -> list[Response | Exception]:
    """Decide a batch of whatever tenants in one transaction."""
    callers = [each.caller for each in submissions]
    seconds = min(JOINT_LOCK_SECONDS, callers[0].services.settings.lock_seconds)
    limits = TimeLimits(seconds, callers[0].services.settings.statement_seconds)
    moment = callers[0].services.clock()
    reading = _read(submissions, moment, seen_by={each.order.request.customer_id for each in submissions})
    async with open_together(callers, reading, limits) as (works, found):
        return await _decide(works, found, submissions, moment)


async def _decide_apart(turn: Turn, submissions: Sequence[Submission]) -> list[Response | Exception]:
    """Decide a batch of one contract's; anew, where a request elsewhere has used one of its keys meanwhile."""
    try:
        return await _decide_once(turn, submissions)
    except UniqueViolation as error:
        if error.diag.constraint_name != TWIN_ANSWERED:
            raise
        return await _decide_once(turn, submissions)


async def _decide_once(turn: Turn, submissions: Sequence[Submission]) -> list[Response | Exception]:
    caller, (_principal, place) = submissions[0].caller, turn
    moment = caller.services.clock()
    confined_to = caller.actor.confined_to
    reading = _read(submissions, moment, seen_by=None if confined_to is None else {confined_to})
    async with caller.open_with(reading) as (work, found):
        return await _decide({place.customer_id: work}, found, submissions, moment)


def _read(submissions: Sequence[Submission], moment: datetime, *, seen_by: Collection[str] | None) -> list[Command]:
    """Make the commands that read what a batch is decided from, and the answers that its retries ask for."""
    claims = [each.claimed for each in submissions if each.claimed is not None]
    return [*read_orders([each.order for each in submissions], moment, seen_by=seen_by), find_answers(claims)]


async def _decide(
    works: Mapping[str, Work], found: Sequence[Sequence[Row]], submissions: Sequence[Submission], moment: datetime
) -> list[Response | Exception]:
    """Decide a batch in its transaction, and write and commit it; the log tells what was submitted after that."""
    *read, earlier = found
    snapshots = await read_admission_snapshots(works, read, moment)
    plans = {each: AdmissionPlan(snapshot, works[each].new_id) for each, snapshot in snapshots.items()}
    answers = SubmissionAnswers(plans, read_answers(earlier))
    given = [_answer(answers, submission) for submission in submissions]
    await _write(works, answers, submissions, given)
    contexts = {id(each.order): each.context for each in submissions}
    for admission in (each for plan in plans.values() for each in plan.admitted):
        contexts[id(admission.order)].run(log_event, admission.job, SUBMITTED, tell_submitted(admission.job))
    return given


def _answer(answers: SubmissionAnswers, submission: Submission) -> Response | Exception:
    """Answer a submission, or tell what is wrong with it: deciding is pure, so whatever is raised is its own fault."""
    try:
        return answers.answer(submission)
    except Exception as error:  # noqa: BLE001 (one that cannot be decided keeps no other from its answer)
        return error


async def _write(
    works: Mapping[str, Work],
    answers: SubmissionAnswers,
    submissions: Sequence[Submission],
    given: Sequence[Response | Exception],
) -> None:
    """Write what was admitted, and commit; what staff decided is recorded before."""
    work = next(iter(works.values()))
    commands = [*write_admissions(answers.plans, works), *keep_answers(answers.kept, work.now)]
    if not commands:
        return
    if work.actor.role not in STAFF:
        await run_together(work.connection, commands, after=WAKE_FOR_SUBMITTED + b";" + COMMIT)
        return
    await run_together(work.connection, commands, after=WAKE_FOR_SUBMITTED)
    for submission, response in zip(submissions, given, strict=True):
        if isinstance(response, Response):
            await submission.caller.record(work, response)
