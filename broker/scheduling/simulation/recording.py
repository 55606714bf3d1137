"""What a cycle was planned from, kept as what changed since the cycle before; and made whole again. Pure.

One record a cycle in which anything changed. A baseline has everything, so that older records can be deleted, and so
that a process that takes over needs to know nothing of the one before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot, Kept

Job = TypeVar("Job", WaitingJob, RunningJob)


@dataclass(frozen=True)
class Conditions:
    """What jobs are planned on, other than themselves."""

    pools: tuple[PoolState, ...] = ()
    queues: tuple[QueueState, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True)
class CycleRecord:
    """What changed until the cycle at `at`: jobs that wait and that run, by what they are now; and who no longer does.

    `conditions` None: as before; `shares` are those that changed. `started` are the jobs that this cycle started, which
    the next finds running; `withheld` those that it planned to start and did not, since they were busy otherwise.
    """

    at: datetime
    is_baseline: bool = False
    conditions: Conditions | None = None
    shares: tuple[ContractShare, ...] = ()
    waiting: tuple[WaitingJob, ...] = ()
    running: tuple[RunningJob, ...] = ()
    no_longer_waiting: tuple[str, ...] = ()
    no_longer_running: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @property
    def says_something(self) -> bool:
        return self != CycleRecord(self.at)


@dataclass
class RecordedState:
    """All that the records so far come to. `started` by the last cycle, which was planned when they still waited."""

    conditions: Conditions = field(default_factory=Conditions)
    shares: dict[str, ContractShare] = field(default_factory=dict)
    waiting: dict[str, WaitingJob] = field(default_factory=dict)
    running: dict[str, RunningJob] = field(default_factory=dict)
    started: tuple[str, ...] = ()

    def take(self, record: CycleRecord) -> None:
        """Take a record on top of those before it."""
        if record.is_baseline:
            self.shares.clear()
            self.waiting.clear()
            self.running.clear()
        for job_id in self.started:
            self.waiting.pop(job_id, None)
        self.started = record.started
        self.conditions = record.conditions or self.conditions
        self.shares.update((share.contract_id, share) for share in record.shares)
        _change(self.waiting, record.waiting, record.no_longer_waiting)
        _change(self.running, record.running, record.no_longer_running)

    def make_snapshot(self) -> ClusterSnapshot:
        """Make whole what the cycle of the last record was planned from."""
        held = _count_held(self.conditions.pools, self.running.values())
        return ClusterSnapshot(
            pools=tuple(replace(pool, free_gpus=pool.free_gpus - held[pool.name]) for pool in self.conditions.pools),
            queues=self.conditions.queues,
            waiting=tuple(self.waiting.values()),
            running=tuple(self.running.values()),
            shares=tuple(self.shares.values()),
            kept=self.conditions.kept,
        )


def record_cycle(
    before: RecordedState | None, snapshot: ClusterSnapshot, started: Sequence[str], at: datetime
) -> CycleRecord:
    """Record what a cycle was planned from, beside what is recorded already; None: nothing is, this is a baseline.

    What is free of a pool is not recorded as such: it follows from who runs.
    """
    known = before or RecordedState()
    still_waiting = known.waiting.keys() - known.started
    present = {job.job_id: job for job in snapshot.waiting}
    changed = {job_id: present.get(job_id) for job_id in [*present, *(still_waiting - present.keys())]}
    record = record_changes(known, snapshot, started, changed, at)
    if before is not None:
        return record
    return replace(record, is_baseline=True, conditions=record.conditions or Conditions())


def record_changes(
    known: RecordedState,
    conditions: ClusterSnapshot,
    started: Sequence[str],
    changed: Mapping[str, WaitingJob | None],
    at: datetime,
) -> CycleRecord:
    """Record a cycle by what changed of those who wait, None: waits no longer; who waits in `conditions` is ignored."""
    told = Conditions(_without_free(conditions), conditions.queues, conditions.kept)
    gone = set(known.started)
    waiting_before = {job_id: job for job_id in changed if job_id not in gone and (job := known.waiting.get(job_id))}
    running, no_longer_running = _compare(known.running, conditions.running)
    return CycleRecord(
        at=at,
        conditions=None if known.conditions == told else told,
        shares=tuple(share for share in conditions.shares if known.shares.get(share.contract_id) != share),
        waiting=tuple(job for job_id, job in changed.items() if job and waiting_before.get(job_id) != job),
        running=running,
        no_longer_waiting=tuple(job_id for job_id, job in changed.items() if job is None and job_id in waiting_before),
        no_longer_running=no_longer_running,
        started=tuple(started),
    )


def _without_free(snapshot: ClusterSnapshot) -> tuple[PoolState, ...]:
    """List the pools as if nothing of ours ran: what is free then is not changed by every start and end."""
    held = _count_held(snapshot.pools, snapshot.running)
    return tuple(replace(pool, free_gpus=pool.free_gpus + held[pool.name]) for pool in snapshot.pools)


def _count_held(pools: Iterable[PoolState], running: Iterable[RunningJob]) -> dict[str, int]:
    held = dict.fromkeys((pool.name for pool in pools), 0)
    for run in running:
        if run.pool in held:
            held[run.pool] += run.gpus
    return held


def _compare(known: Mapping[str, Job], now: Iterable[Job]) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    """List what is new or different, and the ids of what is gone."""
    present = {job.job_id: job for job in now}
    changed = tuple(job for job_id, job in present.items() if known.get(job_id) != job)
    return changed, tuple(job_id for job_id in known if job_id not in present)


def _change(known: dict[str, Job], changed: Iterable[Job], gone: Iterable[str]) -> None:
    for job_id in gone:
        known.pop(job_id, None)
    known.update((job.job_id, job) for job in changed)
