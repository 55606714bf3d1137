"""A broker in small that plans, records and forgets: what it recorded is replayed to the very cycle of each start."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from broker.scheduling.planning.plan import plan_cycle
from broker.scheduling.planning.values.jobs import RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.simulation.recording import CycleRecord, RecordedState, record_cycle
from broker.scheduling.simulation.window import EmptyWindow, read_window
from broker.scheduling.simulation.window_replay import Proposal, replay_window

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)
QUEUES = (QueueState("standard", 100), QueueState("priority", 200))


def moment(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


class SmallBroker:
    """Jobs come, cycles run a while after what woke them, runs end, one in ten is lost and comes back."""

    def __init__(self, seed: int, *, gpus: int = 2, lost_share: float = 0.1) -> None:
        self.random = random.Random(seed)
        self.pools = (PoolState("one", "a100", gpus, gpus),)
        self.queues = QUEUES
        self.lost_share = lost_share
        self.jobs: dict[str, WaitingJob] = {}
        self.waiting: dict[str, WaitingJob] = {}
        self.running: dict[str, RunningJob] = {}
        self.ends: dict[str, float] = {}
        self.state: RecordedState | None = None
        self.records: list[CycleRecord] = []
        self.snapshots: list[ClusterSnapshot] = []
        self.starts: list[tuple[datetime, str]] = []
        self.came = 0

    def submit(self, seconds: float) -> None:
        self.came += 1
        job_id = f"job_{self.came:04}"
        length = self.random.randint(5, 300)
        shape = Shape(1, (TypeOption("a100", length, 2 * length), TypeOption("l40s", 2 * length, 4 * length)))
        contract = self.random.choice(("con_a", "con_b", "con_c"))
        queue = self.random.choice(QUEUES).name
        self.jobs[job_id] = self.waiting[job_id] = WaitingJob(job_id, contract, queue, shape, moment(seconds))

    def cycle(self, seconds: float) -> None:
        for job_id in [job_id for job_id, end in self.ends.items() if end <= seconds]:
            del self.running[job_id], self.ends[job_id]
            if self.random.random() < self.lost_share:
                self.waiting[job_id] = self.jobs[job_id]
        held = len(self.running)
        pools = tuple(replace(pool, free_gpus=pool.total_gpus - held) for pool in self.pools)
        snapshot = ClusterSnapshot(pools, self.queues, tuple(self.waiting.values()), tuple(self.running.values()))
        plan = plan_cycle(snapshot, now=moment(seconds))
        for start in plan.starts:
            self._start(start.job_id, seconds)
        record = record_cycle(self.state, snapshot, [start.job_id for start in plan.starts], moment(seconds))
        self.state = self.state or RecordedState()
        self.state.take(record)
        if record.says_something:
            self.records.append(record)
            self.snapshots.append(snapshot)
        self.starts += [(moment(seconds), start.job_id) for start in plan.starts]

    def _start(self, job_id: str, seconds: float) -> None:
        job = self.waiting.pop(job_id)
        expected = job.shape.p50_seconds
        self.running[job_id] = RunningJob(
            job_id, job.contract_id, "one", 1, moment(seconds), p50_end=moment(seconds + expected)
        )
        self.ends[job_id] = seconds + expected * self.random.uniform(0.5, 1.5)


def run_broker(seed: int, jobs: int = 200) -> SmallBroker:
    """Run until all jobs are done: a job every 80 s, a cycle a moment after each submission and end."""
    broker = SmallBroker(seed)
    now = 0.0
    while broker.came < jobs or broker.waiting or broker.running:
        coming = now + broker.random.expovariate(1 / 80) if broker.came < jobs else float("inf")
        now = min(coming, *broker.ends.values(), now + 60)
        if now == coming:
            broker.submit(now)
        now += broker.random.uniform(0.001, 0.3)
        broker.cycle(now)
    return broker


def played_starts(broker: SmallBroker, **proposal) -> list[tuple[datetime, str]]:
    played = replay_window(read_window(broker.records), **proposal)
    return sorted((turn.started_at, turn.turn.job.job_id) for turn in played if turn.started_at is not None)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_200_jobs_on_2_slots_start_in_the_very_cycles_in_which_they_did(seed: int) -> None:
    note(f"seed {seed}")
    broker = run_broker(seed)
    assert played_starts(broker) == sorted(broker.starts)


def test_records_make_each_cycles_snapshot_whole_again() -> None:
    broker = run_broker(7, jobs=40)
    state = RecordedState()
    for record, snapshot in zip(broker.records, broker.snapshots, strict=True):
        state.take(record)
        made = state.make_snapshot()
        assert set(made.waiting) == set(snapshot.waiting)
        assert set(made.running) == set(snapshot.running)
        assert (made.pools, made.queues) == (snapshot.pools, snapshot.queues)
        assert set(plan_cycle(made, now=record.at).starts) == set(plan_cycle(snapshot, now=record.at).starts)


def test_a_window_begins_at_a_later_baseline_with_those_who_ran_then() -> None:
    broker = run_broker(3, jobs=40)
    middle = len(broker.records) // 2
    state = RecordedState()
    for record in broker.records[:middle]:
        state.take(record)
    snapshot, record = broker.snapshots[middle], broker.records[middle]
    broker.records[middle] = record_cycle(None, snapshot, record.started, record.at)
    broker.records[:middle] = [replace(record, is_baseline=False) for record in broker.records[:middle]]
    assert played_starts(broker) == sorted(start for start in broker.starts if start[0] >= record.at)


def test_another_priority_changes_who_waits_and_more_slots_shorten_the_wait() -> None:
    broker = run_broker(11, jobs=100)

    def wait(**proposal) -> float:
        turns = replay_window(read_window(broker.records), **proposal)
        waits = [(turn.started_at - turn.came_at).total_seconds() for turn in turns if turn.started_at is not None]
        return sum(waits) / len(waits)

    def doubled(conditions):
        return replace(conditions, pools=tuple(replace(p, total_gpus=4, free_gpus=4) for p in conditions.pools))

    assert wait(proposal=Proposal(doubled, lambda share: share)) < wait()


def test_a_job_that_left_without_having_run_leaves_in_the_replay() -> None:
    broker = SmallBroker(1, gpus=1, lost_share=0)
    for seconds in (0, 1, 2):
        broker.submit(seconds)
        broker.cycle(seconds + 0.5)
    gone = min(broker.waiting)
    del broker.waiting[gone]
    broker.cycle(4)
    while broker.ends:
        broker.cycle(min(broker.ends.values()) + 0.1)
    played = {turn.turn.job.job_id: turn.started_at for turn in replay_window(read_window(broker.records))}
    assert played[gone] is None
    assert played_starts(broker) == sorted(broker.starts)


def test_a_window_without_a_baseline_cannot_be_replayed() -> None:
    with pytest.raises(EmptyWindow, match="begin it earlier"):
        read_window([CycleRecord(BEGAN)])
