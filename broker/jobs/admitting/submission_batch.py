"""A batch of submissions in its transaction: read in one message, decided one upon the other, written in one message.

That one ends with the commit, and has the answers that retries get.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from fastapi import Response

from broker import errors
from broker.capacity.service import Entry
from broker.contracts.reading.candidates import Place
from broker.http.caller import Caller
from broker.http.idempotency import Claim, EarlierAnswer, find_answers, keep_answers, name_principal, read_answers
from broker.jobs.admitting.admission import AdmissionPlan, Order
from broker.jobs.admitting.admission_batch import (
    FoundRows,
    list_known_quotes,
    read_admission_snapshots,
    read_orders,
    write_admissions,
)
from broker.jobs.admitting.remembered import Remembered
from broker.jobs.batch_schemas import JobBatchOut
from broker.jobs.schemas import write_job
from broker.jobs.tables import Job
from broker.persistence.database import WAKE_FOR_SUBMITTED
from broker.persistence.driver import COMMIT, Command, Row, require_all, run_together
from broker.quotes.service import Quote
from broker.work import STAFF, Actor, Services, Work


@dataclass(frozen=True)
class Submission:
    """An order with its caller, or the orders of one batch, of which all are taken or none."""

    caller: Caller
    orders: Sequence[Order]
    is_batch: bool = False

    @property
    def customer_id(self) -> str:
        return self.orders[0].request.customer_id

    @property
    def claimed(self) -> tuple[Actor, Claim] | None:
        """Tell who claims which key; None for a request without one."""
        return None if self.caller.claim is None else (self.caller.actor, self.caller.claim)


@dataclass(frozen=True)
class Decided:
    """The answer to a submission, and the jobs that it has made; none where it was answered before."""

    response: Response
    jobs: Sequence[Job] = ()


@dataclass
class SubmissionAnswers:
    """The answers of a batch, those that earlier requests with the same keys got, and those that are to be kept."""

    plans: Mapping[str, AdmissionPlan]
    earlier: dict[tuple[str, str], EarlierAnswer]
    kept: list[tuple[Actor, Claim, Response]] = field(default_factory=list)

    def answer(self, submission: Submission) -> Decided:
        """Answer a submission; of two with one key the second gets the first one's answer.

        Raises: as `AdmissionPlan.admit` does.
        """
        if submission.claimed is None:
            return self._decide(submission)
        actor, claim = submission.claimed
        name = (name_principal(actor), claim.key)
        if name in self.earlier:
            return Decided(self.earlier[name].replay(claim))
        decided = self._decide(submission)
        response = decided.response
        self.kept.append((actor, claim, response))
        self.earlier[name] = EarlierAnswer(claim.fingerprint, response.status_code, bytes(response.body).decode())
        return decided

    def _decide(self, submission: Submission) -> Decided:
        plan = self.plans[submission.customer_id]
        admitted, moment = len(plan.admitted), plan.snapshot.moment
        jobs = plan.admit_all(submission.orders) if submission.is_batch else [plan.admit(submission.orders[0])]
        made = [each.job for each in plan.admitted[admitted:]]
        if submission.is_batch:
            told: str | bytes = JobBatchOut.of(jobs, moment).model_dump_json()
        else:
            told = write_job(jobs[0], moment, is_new=bool(made))
        return Decided(Response(told, 201, media_type="application/json"), made)

    def write(self, services: Services) -> list[Command]:
        """Make the commands that write the answers that retries get, and what was admitted.

        Balances are moved last: two processes that admit under one contract wait for each other there alone.
        """
        return [*keep_answers(self.kept, services.now), *write_admissions(self.plans, services)]


@dataclass(frozen=True)
class Batch:
    """Submissions that are decided together, at one moment; `known` are their quotes that need not be read."""

    submissions: Sequence[Submission]
    moment: datetime
    known: Mapping[str, Quote]

    @classmethod
    def of(cls, submissions: Sequence[Submission]) -> Self:
        services = submissions[0].caller.services
        return cls(submissions, services.clock(), list_known_quotes(services, _list_orders(submissions)))

    @property
    def places(self) -> set[Place]:
        return {order.request.place for order in _list_orders(self.submissions)}

    def read(self, *, seen_by: Collection[str] | None) -> list[Command]:
        """Make the commands that read what they are decided from, and the answers that their retries ask for."""
        orders = _list_orders(self.submissions)
        return [*read_orders(orders, self.moment, self.known, seen_by=seen_by), find_answers(self._list_claims())]

    def suppose(self, remembered: Remembered) -> "SupposedBatch | None":
        """Decide them by heart; None where that is not enough: some of it is not known, or one would be refused."""
        supposition = remembered.suppose(_list_orders(self.submissions), self.moment, self.known)
        if supposition is None:
            return None
        services = self.submissions[0].caller.services
        snapshots = supposition.imagine()
        plans = {each: AdmissionPlan(snapshot, services.new_id) for each, snapshot in snapshots.items()}
        answers = SubmissionAnswers(plans, {})
        try:
            given = [answers.answer(submission) for submission in self.submissions]
        except errors.DomainError:
            return None
        jobs = [each.job for plan in plans.values() for each in plan.admitted]
        entries = {Entry(job.queue, job.contract_id, job.gpus) for job in jobs}
        return SupposedBatch(plans, given, supposition.lock(), supposition.require(entries), answers.write(services))

    async def decide(
        self, works: Mapping[str, Work], found: Sequence[Sequence[Row]], remembered: Remembered
    ) -> list[Decided | Exception]:
        """Decide them in their transaction, and write and commit it; what it leaves is remembered."""
        *read, earlier = found
        rows = FoundRows(*read)
        snapshots = await read_admission_snapshots(works, rows, self.moment, self.known)
        plans = {each: AdmissionPlan(snapshot, works[each].new_id) for each, snapshot in snapshots.items()}
        answers = SubmissionAnswers(plans, read_answers(earlier))
        given = [_answer(answers, submission) for submission in self.submissions]
        work = next(iter(works.values()))
        commands = answers.write(work.services)
        if work.actor.role in STAFF:
            await self._write_for_staff(work, commands, given)
        else:
            await write_and_commit(work, commands)
            remembered.keep_read(self.places, plans, rows)
        return given

    async def _write_for_staff(
        self, work: Work, commands: Sequence[Command], given: Sequence[Decided | Exception]
    ) -> None:
        """Write what was admitted, and record what staff decided; the commit comes by itself."""
        if commands:
            await run_together(work.connection, commands, after=WAKE_FOR_SUBMITTED)
        for submission, decided in zip(self.submissions, given, strict=True):
            if isinstance(decided, Decided):
                await submission.caller.record(work, decided.response)

    def _list_claims(self) -> list[tuple[Actor, Claim]]:
        return [each.claimed for each in self.submissions if each.claimed is not None]


@dataclass(frozen=True)
class SupposedBatch:
    """A batch that is decided by heart: its answers, and the commands that confirm what was supposed and write it."""

    plans: Mapping[str, AdmissionPlan]
    given: Sequence[Decided | Exception]
    locks: Sequence[Command]
    required: Sequence[Command]
    writes: Sequence[Command]

    def confirm_and_write(self, also_required: Sequence[Command]) -> list[Command]:
        """Make the commands of its message; whose requests these are may be required, too."""
        return [*self.locks, require_all([*self.required, *also_required]), *self.writes]


async def write_and_commit(work: Work, commands: Sequence[Command]) -> None:
    """Write what was admitted and commit it, in one message; where nothing was, the commit comes by itself."""
    if commands:
        await run_together(work.connection, commands, after=WAKE_FOR_SUBMITTED + b";" + COMMIT)


def _list_orders(submissions: Sequence[Submission]) -> list[Order]:
    return [order for each in submissions for order in each.orders]


def _answer(answers: SubmissionAnswers, submission: Submission) -> Decided | Exception:
    """Answer a submission, or tell what is wrong with it: deciding is pure, so whatever is raised is its own fault."""
    if submission.caller.unconfirmed is not None:
        return errors.Unauthenticated("This API key was not confirmed; send the request again.")
    try:
        return answers.answer(submission)
    except Exception as error:  # noqa: BLE001 (one that cannot be decided keeps no other from its answer)
        return error
