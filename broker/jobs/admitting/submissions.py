"""Submissions on their way from the edge: those of one moment are decided together, each with its own answer.

A batch is one transaction of the tenants that sent it. Where all is remembered that it is decided from, it is one
message, which confirms that and writes (`remembered.py`). Else it is two: the locks, whose keys they are and all that
is read in the first, then a plan for each tenant from its own rows alone, and all that is written in the other
(`submission_batch.py`).
"""

from collections.abc import Sequence
from contextlib import suppress

from fastapi import Response
from psycopg.errors import AssertFailure, CheckViolation, ForeignKeyViolation, UniqueViolation

from broker import errors
from broker.capacity.start_forecasts import ExpectedStarts, list_starts
from broker.contracts.reading.candidates import Place
from broker.http.caller import Caller, list_unconfirmed, open_together, write_together
from broker.http.idempotency import TWIN_ANSWERED, Claim, name_principal
from broker.http.supposed import Supposed, join_conditions, join_questions
from broker.jobs.admitting.admission import Order
from broker.jobs.admitting.admission_batch import SUBMITTED, tell_submitted
from broker.jobs.admitting.remembered import Remembered
from broker.jobs.admitting.request import JobRequest
from broker.jobs.admitting.submission_batch import Batch, Decided, Submission, SupposedBatch
from broker.jobs.events import log_event
from broker.persistence.database import WAKE_FOR_SUBMITTED, TimeLimits
from broker.persistence.driver import Row
from broker.persistence.joint_batches import JointBatches
from broker.quotes import service as quotes
from broker.quotes.counts.count_needs import meet_count_needs
from broker.quotes.service import Quote
from broker.traces import find_traceparent
from broker.work import Actor, Role

# After a batch of several so long, at most, the next one waits for as many: answers are written and requests read
# meanwhile.
GATHER_SECONDS = 0.004
# What ends the message of a batch that was decided by heart where something is not as it was supposed to be: another
# version, less of a balance, a key that was used before, a project that is gone.
NOT_SO = (AssertFailure, CheckViolation, UniqueViolation, ForeignKeyViolation)
# Whose scope, and whose use of which contract.
Turn = tuple[str, Place]
# So long a batch of several tenants waits for one lock: longer than other batches take, shorter than anyone notices.
JOINT_LOCK_SECONDS = 0.5


class Submissions:
    """The submissions that a process is asked to decide: together, or where that fails contract by contract.

    So one tenant's contract that is locked for long, or whatever else of it fails, holds nobody else up.
    """

    def __init__(self, wait_seconds: float) -> None:
        self.remembered = Remembered()
        self.batches = JointBatches[Turn, Submission, Decided](
            self._decide_together,
            self._decide_apart,
            wait_seconds,
            expected=(UniqueViolation,),
            gather_seconds=GATHER_SECONDS,
        )

    async def submit(self, caller: Caller, request: JobRequest, made: Quote | None) -> Response:
        """Have a request decided in the next batch; `made` is the quote that it does not name.

        The log tells of the new job when it is committed, among the lines of its request. When a job that came now
        would start is looked up before, for one with a date alone.

        Raises: as `AdmissionPlan.admit` does; Busy, TooManyAtOnce.
        """
        starts = {} if request.finish_by is None else await _look_up_starts(caller, request)
        hold, trace = name_hold(caller.actor, caller.claim), find_traceparent()
        return await self._ask(Submission(caller, [Order(request, made, hold, starts, trace)]))

    async def submit_batch(self, caller: Caller, requests: Sequence[JobRequest], made: Sequence[Quote]) -> Response:
        """Have the requests of one batch decided in the next batch of submissions: all are taken, or none.

        Raises: as `AdmissionPlan.admit_all` does; Busy, TooManyAtOnce.
        """
        starts = {} if requests[0].finish_by is None else await _look_up_starts(caller, requests[0])
        trace = find_traceparent()
        orders = [
            Order(request, quote, name_hold(caller.actor, caller.claim, place), starts, trace)
            for place, (request, quote) in enumerate(zip(requests, made, strict=True))
        ]
        return await self._ask(Submission(caller, orders, is_batch=True))

    async def _ask(self, submission: Submission) -> Response:
        actor, place = submission.caller.actor, submission.orders[0].request.place
        ask = self.batches.ask if actor.role == Role.CUSTOMER else self.batches.ask_apart
        decided = await ask((name_principal(actor), place), submission)
        for job in decided.jobs:
            log_event(job, SUBMITTED, tell_submitted(job))
        return decided.response

    async def _decide_together(self, submissions: Sequence[Submission]) -> Sequence[Decided | Exception]:
        """Decide a batch of whatever tenants in one transaction: by heart, or where that is not confirmed from rows."""
        callers = [each.caller for each in submissions]
        settings = callers[0].services.settings
        limits = TimeLimits(min(JOINT_LOCK_SECONDS, settings.lock_seconds), settings.statement_seconds)
        batch = Batch.of(submissions)
        by_heart = batch.suppose(self.remembered)
        if by_heart is not None and await self._write_by_heart(batch, by_heart, limits):
            return by_heart.given
        supposed = list_unconfirmed(callers)
        seen_by = {each.customer_id for each in submissions}
        asked = [*join_questions(supposed), *batch.read(seen_by=seen_by)]
        async with open_together(callers, asked, limits) as (works, found):
            return await batch.decide(works, _confirm(supposed, found), self.remembered)

    async def _write_by_heart(self, batch: Batch, by_heart: SupposedBatch, limits: TimeLimits) -> bool:
        """Write a batch in one message where all is as it was supposed to be; tells whether it was."""
        callers = [each.caller for each in batch.submissions]
        supposed = list_unconfirmed(callers)
        commands = by_heart.confirm_and_write(join_conditions(supposed, batch.moment))
        try:
            await write_together(callers, commands, limits, after=WAKE_FOR_SUBMITTED)
        except NOT_SO:
            self.remembered.forget(batch.places)
            return False
        for each in supposed:
            each.confirm_by_condition()
        self.remembered.keep_left(by_heart.plans)
        return True

    async def _decide_apart(self, turn: Turn, submissions: Sequence[Submission]) -> list[Decided | Exception]:
        """Decide a batch of one contract's; anew, where a request elsewhere has used one of its keys meanwhile."""
        for supposed in (each.caller.unconfirmed for each in submissions):
            if supposed is not None:
                with suppress(errors.Unauthenticated):
                    await supposed.confirm()
        try:
            return await self._decide_once(turn, submissions)
        except UniqueViolation as error:
            if error.diag.constraint_name != TWIN_ANSWERED:
                raise
            return await self._decide_once(turn, submissions)

    async def _decide_once(self, turn: Turn, submissions: Sequence[Submission]) -> list[Decided | Exception]:
        confirmed = [each.caller for each in submissions if each.caller.unconfirmed is None]
        caller, (_principal, place) = next(iter(confirmed), submissions[0].caller), turn
        confined_to = caller.actor.confined_to
        batch = Batch.of(submissions)
        async with caller.open_with(batch.read(seen_by=None if confined_to is None else {confined_to})) as (
            work,
            found,
        ):
            return await batch.decide({place.customer_id: work}, found, self.remembered)


def name_hold(actor: Actor, claim: Claim | None, place: int | None = None) -> str | None:
    """Name the hold of a request by its key, or that of a place in a batch; None without a key. Pure.

    The place stands before the key, in which anything may stand: no key names what another one does.
    """
    if claim is None:
        return None
    owner = actor.customer_id or actor.id
    return f"{owner}:{claim.key}" if place is None else f"{owner}/{place}:{claim.key}"


async def _look_up_starts(caller: Caller, request: JobRequest) -> ExpectedStarts:
    async with caller.look() as work:
        return await list_starts(work, request.customer_id)


async def make_quote_for(caller: Caller, request: JobRequest) -> Quote:
    """Make the quote of a request that names none, in transactions of its own; it is kept with the job."""
    await caller.answer_if_known()
    await meet_count_needs(caller.look, [request.config], request.dataset_id)
    async with caller.look() as work:
        terms = quotes.QuoteTerms(request.contract_id, project_id=request.project_id, gpus=request.gpus or 1)
        return await quotes.make_quote(work, request.config, request.dataset_id, terms)


async def make_quotes_for(caller: Caller, requests: Sequence[JobRequest]) -> list[Quote]:
    """Make the quotes of the requests of one batch, as `make_quote_for` makes that of one."""
    first = requests[0]
    await caller.answer_if_known()
    await meet_count_needs(caller.look, [each.config for each in requests], first.dataset_id)
    async with caller.look() as work:
        terms = quotes.QuoteTerms(first.contract_id, project_id=first.project_id, gpus=first.gpus or 1)
        return await quotes.make_quotes(work, [each.config for each in requests], first.dataset_id, terms)


def _confirm(supposed: Sequence[Supposed], found: Sequence[Sequence[Row]]) -> Sequence[Sequence[Row]]:
    """Confirm those actors who are who they were supposed to be; returns the rows beside those that tell it."""
    if not supposed:
        return found
    for each in supposed:
        with suppress(errors.Unauthenticated):
            each.confirm_by(found[0])
    return found[1:]
