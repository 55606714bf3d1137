"""When a job that came now would start: behind all that wait at its priority or above, on its type's pools."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from broker.scheduling.planning.values.jobs import RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.newcomers import forecast_newcomers
from tests.broker.scheduling.planning.whole_plan import plan_cycle

NUMBERS = count()
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
QUEUES = (QueueState("standard", 100), QueueState("priority", 200), QueueState("also-standard", 100))
CPU, GPU = PoolState("a", "cpu", 1, 0), PoolState("b", "h100-80g", 2, 0)


def make_running(pool, ends_in, *, p90=None):
    end = None if p90 is None else NOW + timedelta(seconds=p90)
    return RunningJob(
        f"job_x{next(NUMBERS)}", "con_x", pool, 1, NOW - timedelta(hours=1), NOW + timedelta(seconds=ends_in), end
    )


def make_waiting(job_id, *skus, queue="standard", gpus=1):
    options = tuple(TypeOption(sku, 100, 150) for sku in skus)
    return WaitingJob(job_id, "con_a", queue, Shape(gpus, options), NOW - timedelta(minutes=1))


def forecast(*waiting, pools=(CPU, GPU), running=()):
    """Tell the seconds to the start at p50 and p90, by priority and type."""
    snapshot = ClusterSnapshot(tuple(pools), QUEUES, waiting, tuple(running))
    found = forecast_newcomers(snapshot, plan_cycle(snapshot, now=NOW), now=NOW)
    return {
        (each.priority, each.sku) if each.gpus == 1 else (each.priority, each.sku, each.gpus): (
            count_seconds(each.p50),
            count_seconds(each.p90),
        )
        for each in found
    }


def count_seconds(moment):
    return None if moment is None else int((moment - NOW).total_seconds())


def test_a_type_that_is_free_takes_a_newcomer_at_once_and_a_closed_one_nobody_knows_when():
    closed = PoolState("b", "h100-80g", 2, 2, open=False)
    found = forecast(pools=[PoolState("a", "cpu", 1, 1), closed])
    assert found == {
        (200, "cpu"): (0, 0),
        (100, "cpu"): (0, 0),
        (200, "h100-80g"): (None, None),
        (100, "h100-80g"): (None, None),
        (200, "h100-80g", 2): (None, None),
        (100, "h100-80g", 2): (None, None),
    }


def test_a_newcomer_waits_for_the_first_that_ends_by_p50_and_by_p90():
    found = forecast(running=[make_running("a", 40, p90=60), make_running("b", 70), make_running("b", 50, p90=90)])
    assert found[100, "cpu"] == found[200, "cpu"] == (40, 60)
    assert found[100, "h100-80g"] == (50, 70)
    assert found[100, "h100-80g", 2] == (70, 90)


def test_a_newcomer_stands_behind_those_of_its_priority_and_above_alone():
    running = [make_running("a", 40), make_running("b", 500), make_running("b", 500)]
    found = forecast(make_waiting("job_1", "cpu"), make_waiting("job_2", "cpu", queue="also-standard"), running=running)
    assert found[200, "cpu"] == (40, 40)
    assert found[100, "cpu"] == (240, 340)
    assert found[100, "h100-80g"] == (500, 500)


def test_what_starts_in_this_cycle_is_counted_as_running():
    found = forecast(make_waiting("job_1", "cpu"), pools=[PoolState("a", "cpu", 1, 1)])
    assert found[200, "cpu"] == (100, 150)


@pytest.mark.parametrize("gpus", [2, 3])
def test_a_job_that_gathers_devices_is_passed_by_none_and_one_that_fits_nowhere_blocks_none(gpus):
    running = [make_running("b", 10), make_running("b", 80)]
    found = forecast(make_waiting("job_1", "h100-80g", gpus=gpus), running=running)
    assert found[100, "h100-80g"] == ((180, 230) if gpus == 2 else (10, 10))


def test_who_was_put_first_by_ops_is_ahead_of_newcomers_of_every_lower_priority():
    first = replace(make_waiting("job_1", "cpu"), priority=150)
    found = forecast(first, pools=(CPU,), running=[make_running("a", 60)])
    assert {priority: p50 for (priority, _sku), (p50, _p90) in found.items()} == {200: 60, 100: 160}
