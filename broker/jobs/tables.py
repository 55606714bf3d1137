"""Jobs, their events, runs (attempts), evictions, checkpoints."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from broker.contracts.terms.model import QuoteGuarantee
from broker.jobs.rules.limits import Limits, Spent, find_promise
from broker.jobs.rules.remaining import Remaining, find_share
from broker.ledger.service import Promise
from broker.persistence.database import Base, moment_column
from broker.persistence.documents import Document, UnreadableDocument, explain_unreadable
from broker.quotes.estimating.estimate import JobEstimate
from pricing.estimate.type_choice import Preference, TypedRun
from pricing.usage import Usage

ACTIVE_RUN = "status IN ('starting', 'running')"


def _write_runs(runs: Sequence[TypedRun]) -> list[dict[str, Any]]:
    return [run.to_json() for run in runs]


def _read_runs(written: Sequence[Mapping[str, Any]]) -> list[TypedRun]:
    return [TypedRun.from_json(run) for run in written]


@lru_cache(maxsize=4096)  # every heartbeat asks for those of its job, several times
def _read_limits(
    guarantee: str | None, limit_micros: int | None, limit_gpu_seconds: int | None, cap_micros: int | None
) -> Limits:
    return Limits(None if guarantee is None else QuoteGuarantee(guarantee), limit_micros, limit_gpu_seconds, cap_micros)


class Job(Base):
    """A customer's training job.

    `gpu_types` are those that it may run on, the one that it would rather have first; null in jobs of before: any. Its
    `estimate` is that of the type that it runs on, or ran on last; before, of the first. It should end by `finish_by`.
    `priority` is what ops gave it in place of its queue's; null: its queue's.
    `offered_types` are those that it was offered, where it accepts whatever fits; null: it named its own.
    `template` names that which its `config` was filled in from, with the version (`template_sd_v15@3`).
    `tracker` names the secret of its customer's tracker (`{"secret": …, "project": …}`), never what is in it.
    `batch_id` names the jobs that were submitted in one request, of which `batch_at_once` may run at one time.
    `limit_…` is where its run is told to pause, `cap_micros` the most that the customer is charged. `used_…` is all
    that its runs used; `cost_micros` is what the customer is charged for it, `borne_…` what the house bears of it.
    `remaining` estimates what is left. `labels` are those that its usage is told apart by.
    `pending_place` and `pending_code` are those of `pending_reason`, computed by the database: what a policy guards is
    found by an index over plain columns alone.
    `expedited_at`: since when it goes first, since it lost its machine by our doing; until it runs again, or pauses.
    `adapter_id` is what it has made; null again once that adapter is deleted. `changed_in` is the transaction that
    changed last what the planner reads of it, written by the database; null in jobs of before. `ended_cost_micros` is
    the cost of a job that has ended, written by the database, too: unlike the cost it may stand in an index, which what
    is written at every heartbeat must not.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        ForeignKeyConstraint(["contract_id", "customer_id"], ["contracts.id", "contracts.customer_id"]),
        CheckConstraint("gpus > 0", name="gpus_positive"),
        # Lists of a customer's jobs are counted, searched and put in order by it alone: a row is a page of its own.
        Index(
            "ix_jobs_customer_status",
            "customer_id",
            "status",
            "id",
            postgresql_include=["name", "project_id", "ended_cost_micros"],
        ),
        Index("ix_jobs_adapter", "adapter_id", postgresql_where=text("adapter_id IS NOT NULL")),
        Index(
            "ix_jobs_init_from",
            text("(config ->> 'init_from')"),
            postgresql_where=text("(config ->> 'init_from') IS NOT NULL"),
        ),
        Index("ix_jobs_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
        Index("ix_jobs_waiting", "queue", "created_at", postgresql_where=text("status = 'queued'")),
        Index("ix_jobs_waiting_contract", "contract_id", postgresql_where=text("status = 'queued'")),
        # A page of the line in its order: the place that each was told, then what a page is narrowed by.
        Index(
            "ix_jobs_waiting_place",
            "pending_place",
            "queue",
            "pending_code",
            postgresql_where=text("status = 'queued'"),
        ),
        Index("ix_jobs_paused", "pause_reason", postgresql_where=text("status = 'paused'")),
        {"postgresql_with": {"toast_tuple_target": 8160}},  # not packed: the planner reads all that wait
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    contract_id: Mapped[str]
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    dataset_id: Mapped[str]
    quote_id: Mapped[str | None]
    template_id: Mapped[str | None]
    template: Mapped[str | None]
    tracker: Mapped[dict[str, Any] | None]
    name: Mapped[str | None]
    labels: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    estimate: Mapped[JobEstimate] = mapped_column(Document(JobEstimate.to_json, JobEstimate.from_json))
    gpu_types: Mapped[list[TypedRun] | None] = mapped_column(Document(_write_runs, _read_runs))
    offered_types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    prefer: Mapped[str] = mapped_column(default=Preference.CHEAPEST.value)
    finish_by: Mapped[datetime | None] = moment_column(nullable=True)
    batch_id: Mapped[str | None]
    batch_at_once: Mapped[int | None]
    gpus: Mapped[int]
    queue: Mapped[str]
    priority: Mapped[int | None]
    status: Mapped[str]
    pending_reason: Mapped[dict[str, Any] | None]
    pending_place: Mapped[int | None] = mapped_column(
        Computed("(pending_reason ->> 'position')::bigint", persisted=True), deferred=True
    )
    pending_code: Mapped[str | None] = mapped_column(
        Text, Computed("pending_reason ->> 'code'", persisted=True), deferred=True
    )
    expected_start: Mapped[datetime | None] = moment_column(nullable=True)
    latest_start: Mapped[datetime | None] = moment_column(nullable=True)
    expedited_at: Mapped[datetime | None] = moment_column(nullable=True)
    stop_requested: Mapped[str | None]
    pause_reason: Mapped[str | None]
    quote_guarantee: Mapped[str | None]
    max_cost_micros: Mapped[int | None]
    limit_micros: Mapped[int | None]
    limit_gpu_seconds: Mapped[int | None]
    cap_micros: Mapped[int | None]
    progress: Mapped[dict[str, Any] | None]
    used_gpu_seconds: Mapped[int]
    used_tokens: Mapped[int]
    cost_micros: Mapped[int]
    borne_micros: Mapped[int]
    borne_gpu_seconds: Mapped[int] = mapped_column(default=0)
    borne_tokens: Mapped[int] = mapped_column(default=0)
    remaining: Mapped[Remaining | None] = mapped_column(Document(Remaining.to_json, Remaining.from_json))
    error: Mapped[dict[str, Any] | None]
    adapter_id: Mapped[str | None]
    attempts: Mapped[int]
    uncounted_attempts: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None] = moment_column(nullable=True)
    finished_at: Mapped[datetime | None] = moment_column(nullable=True)
    changed_in: Mapped[int | None] = mapped_column(index=True)
    ended_cost_micros: Mapped[int | None]
    created_at: Mapped[datetime] = moment_column()

    @property
    def limits(self) -> Limits:
        return _read_limits(self.quote_guarantee, self.limit_micros, self.limit_gpu_seconds, self.cap_micros)

    @property
    def promise(self) -> Promise:
        """Tell what its customer is never charged beyond."""
        return find_promise(self.limits)

    @property
    def charged(self) -> Usage:
        """Tell what the customer is charged for: all that was used but what the house bears."""
        return Usage(self.used_gpu_seconds - self.borne_gpu_seconds, self.used_tokens - self.borne_tokens)

    @property
    def spent(self) -> Spent:
        return Spent(self.charged.gpu_seconds, self.cost_micros)

    def require_readable(self) -> None:
        """Refuse a job whose estimate or remainder cannot be read. Raises: UnreadableDocument."""
        for fault in map(explain_unreadable, (self.estimate, self.remaining, self.gpu_types)):
            if fault is not None:
                raise UnreadableDocument(fault)

    @property
    def need(self) -> Usage:
        """Tell the p90 need, which nine of ten such jobs stay within: of the whole job, or of what is left of it."""
        left = self.remaining or self.estimate
        return Usage(left.gpu_seconds.p90, left.tokens)

    @property
    def needs(self) -> dict[str, Usage]:
        """Tell that need on each GPU type that it may run on: the same share of the job is left on all of them."""
        if self.gpu_types is None:
            return {self.estimate.sku: self.need}
        share = Fraction(1) if self.remaining is None else find_share(self.remaining, self.estimate)
        return {run.sku: Usage(run.scale(share).p90_seconds, self.need.tokens) for run in self.gpu_types}


class JobNote(Base):
    """What a customer notes of a job, and since when it is pinned; beside the job, which every heartbeat writes.

    `pinned_steps`: of which steps it has pinned the samples.
    """

    __tablename__ = "job_notes"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    notes: Mapped[str | None]
    pinned_at: Mapped[datetime | None] = moment_column(nullable=True)
    pinned_steps: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'"))


class JobEvent(Base):
    """Something that happened to a job, in the past tense; never changed. It has its job's customer."""

    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str]
    job_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = moment_column()


class Run(Base):
    """One attempt of a job. The attempt's number is its fence token: the highest of a job is the valid one.

    `cause`: why it ended, one of `broker.ledger.books.causes`; null while it lives. `agent_id`: whose it is; only
    that agent may call it gone before its lease is over. `bears_lost_work` is false for runs that ended before the
    house did. `node`: on which machine of a cluster it was placed. `gpu_type`: that of its devices when it started,
    by which it is priced. `pretends`: they were no such GPUs, and its times teach nothing.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("job_id", "attempt"),
        CheckConstraint(f"({ACTIVE_RUN}) = (cause IS NULL)", name="ended_for_a_cause"),
        Index("uq_runs_one_active_per_job", "job_id", unique=True, postgresql_where=text(ACTIVE_RUN)),
        Index("ix_runs_active_agent", "agent_id", postgresql_where=text(ACTIVE_RUN)),
        Index("ix_runs_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    attempt: Mapped[int]
    pool: Mapped[str] = mapped_column(ForeignKey("pools.name"))
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agents.id"))
    gpus: Mapped[int]
    node: Mapped[str | None]
    gpu_type: Mapped[str | None]
    pretends: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str]
    cause: Mapped[str | None]
    used_gpu_seconds: Mapped[int]
    used_tokens: Mapped[int]
    acknowledged_sequence: Mapped[int]
    bears_lost_work: Mapped[bool] = mapped_column(default=True)
    lease_expires_at: Mapped[datetime] = moment_column()
    claimed_at: Mapped[datetime | None] = moment_column(nullable=True)
    last_heartbeat_at: Mapped[datetime | None] = moment_column(nullable=True)
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()

    @property
    def fence_token(self) -> int:
        return self.attempt

    @property
    def recipient(self) -> str:
        """Tell who relays what is asked of the run's engine: its agent, or, before it has one, its pool's."""
        return self.agent_id or self.pool


class WaitCause(Base):
    """A cause for which a job waited until `ended_at`, since the row before or since it came.

    It is never changed, and swept by age once its job waits no more.
    """

    __tablename__ = "wait_causes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str]
    job_id: Mapped[str] = mapped_column(index=True)
    code: Mapped[str]
    ended_at: Mapped[datetime] = moment_column()


class StartPromise(Base):
    """What a waiting job was told first about its start, and what became of it.

    Half of such jobs have started by p50, nine of ten by p90. `latest` is what its customer was told last, after so
    many `slips`; null: that nobody knows. `closed_at`: since when it waits no longer; `started_at` null: it left its
    queue otherwise.
    """

    __tablename__ = "start_promises"
    __table_args__ = (
        Index("uq_start_promises_one_open", "job_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("ix_start_promises_told_at", "told_at"),
        Index("ix_start_promises_open_latest", "latest", postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    queue: Mapped[str]
    gpus: Mapped[int]
    told_at: Mapped[datetime] = moment_column()
    p50: Mapped[datetime] = moment_column()
    p90: Mapped[datetime] = moment_column()
    latest: Mapped[datetime | None] = moment_column(nullable=True)
    slips: Mapped[int]
    started_at: Mapped[datetime | None] = moment_column(nullable=True)
    closed_at: Mapped[datetime | None] = moment_column(nullable=True)


class CheckpointMark(Base):
    """An interval of a run that ends where the run wrote the checkpoint of a step, durable or not."""

    __tablename__ = "checkpoint_marks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    step: Mapped[int]


class LostWorkRecord(Base):
    """What a run's end, or usage that came after it, took back from its customer: borne by the house for a cause.

    Where a correction takes some of that back, a record below zero of the same cause and step says so.

    `after_step`: the step of its last durable checkpoint; null: it had none. Units: GPU-seconds and tokens.
    """

    __tablename__ = "lost_work"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    cause: Mapped[str]
    after_step: Mapped[int | None]
    gpu_seconds: Mapped[int]
    tokens: Mapped[int]
    created_at: Mapped[datetime] = moment_column()


class Eviction(Base):
    """A run that was told to make way: a record. It has the customer of the job that was evicted.

    `kept_gpus` of the node are kept for the other job; with a lowered quota there is none. `price_micros` is what a
    GPU-hour costs the job that was evicted, `for_price_micros` the other one; `lost_micros` what its stop was expected
    to lose. Units: micro-yuan.
    """

    __tablename__ = "evictions"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    reason: Mapped[str]
    for_job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    for_contract_id: Mapped[str | None] = mapped_column(ForeignKey("contracts.id"))
    pool: Mapped[str]
    node: Mapped[str | None]
    gpus: Mapped[int]
    kept_gpus: Mapped[int]
    price_micros: Mapped[int]
    for_price_micros: Mapped[int | None]
    lost_micros: Mapped[int | None]
    created_at: Mapped[datetime] = moment_column(index=True)


class LossPoint(Base):
    """The training losses of some steps of a run that follow one another, up to `step`: as its worker told them."""

    __tablename__ = "loss_points"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    first_step: Mapped[int]
    mean: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]


class RunLog(Base):
    """How much of a run's training log is kept (`rules/log_lines.py`), and when its worker told any of it last."""

    __tablename__ = "run_logs"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    job_id: Mapped[str] = mapped_column(index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    next_number: Mapped[int]
    kept: Mapped[int]
    characters: Mapped[int]
    told_at: Mapped[datetime] = moment_column(index=True)


class LoggedLine(Base):
    """A line of a run's training log, secrets replaced. It has its run's customer, which the run's log refers to."""

    __tablename__ = "log_lines"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    customer_id: Mapped[str]
    at: Mapped[datetime] = moment_column()
    text: Mapped[str]


class Checkpoint(Base):
    """What a run has uploaded. The row of one that was swept stays: it tells which work was durable.

    `unusable_at`: since when it is known that no run can go on from it, so that it keeps nothing.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (UniqueConstraint("run_id", "step"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    step: Mapped[int]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    deleted_at: Mapped[datetime | None] = moment_column(nullable=True)
    unusable_at: Mapped[datetime | None] = moment_column(nullable=True)
