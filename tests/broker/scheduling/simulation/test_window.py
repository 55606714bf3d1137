"""A broker in small that plans, records and forgets: what it recorded is replayed to the very cycle of each start."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.simulation.recording import CycleRecord, RecordedState, record_cycle
from broker.scheduling.simulation.window import EmptyWindow, read_window
from broker.scheduling.simulation.window_replay import Proposal, replay_window
from tests.broker.scheduling.planning.whole_plan import plan_cycle
from tests.broker.scheduling.simulation.small_broker import BEGAN, Faults, SmallBroker, run_broker
from tests.properties import examples


def played_starts(broker: SmallBroker, **proposal) -> list[tuple[datetime, str]]:
    played = replay_window(read_window(broker.records), **proposal).turns
    return sorted((turn.started_at, turn.turn.job.job_id) for turn in played if turn.started_at is not None)


@examples(3)
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
        turns = replay_window(read_window(broker.records), **proposal).turns
        waits = [(turn.started_at - turn.came_at).total_seconds() for turn in turns if turn.started_at is not None]
        return sum(waits) / len(waits)

    def doubled(conditions):
        return replace(conditions, pools=tuple(replace(p, total_gpus=4, free_gpus=4) for p in conditions.pools))

    assert wait(proposal=Proposal(doubled, lambda share: share)) < wait()


def test_a_job_that_left_without_having_run_leaves_in_the_replay() -> None:
    broker = SmallBroker(1, (PoolState("one", "a100", 1, 1),), faults=Faults(lost=0))
    for seconds in (0, 1, 2):
        broker.submit(seconds)
        broker.cycle(seconds + 0.5)
    gone = min(broker.waiting)
    del broker.waiting[gone]
    broker.cycle(4)
    while broker.ends:
        broker.cycle(min(broker.ends.values()) + 0.1)
    played = {turn.turn.job.job_id: turn.started_at for turn in replay_window(read_window(broker.records)).turns}
    assert played[gone] is None
    assert played_starts(broker) == sorted(broker.starts)


def test_a_window_without_a_baseline_cannot_be_replayed() -> None:
    with pytest.raises(EmptyWindow, match="begin it earlier"):
        read_window([CycleRecord(BEGAN)])
