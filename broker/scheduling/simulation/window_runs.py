"""The runs of a replayed window: how long one takes where it starts now, and what the planner is told of it. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.simulation.window import Turn, Window


class Lengths:
    """How long turns run: as they were recorded to, on another GPU type longer or shorter as their estimates are."""

    def __init__(self, window: Window) -> None:
        self.ends_at = window.ends_at
        self.skus = {pool.name: pool.sku for _, told in window.conditions for pool in told.pools}

    def find(self, turn: Turn, sku: str) -> timedelta:
        """Find how long a turn runs on a GPU type.

        One that was not recorded to its end takes its p50, or as long as it was seen where that is longer.
        """
        if turn.started_at is not None and turn.ended_at is not None:
            recorded = turn.ended_at - turn.started_at
            known = None if turn.run is None else self.skus.get(turn.run.pool)
            return recorded if known is None else recorded * _compare_types(turn.job, known, sku)
        seen = timedelta(0) if turn.started_at is None else self.ends_at - turn.started_at
        return max(timedelta(seconds=_expect_seconds(turn.job, sku)), seen)


def make_run(turn: Turn, start: Start, sku: str, now: datetime) -> RunningJob:
    """Make what the planner is told of a run that starts now: as it was told live, where it was."""
    job, told = turn.job, turn.run
    if told is not None and told.pool == start.pool:
        p90_end = None if told.p90_end is None else now + (told.p90_end - told.started_at)
        length = told.p50_end - told.started_at
        return replace(told, started_at=now, p50_end=now + length, p90_end=p90_end, places=start.places)
    option = job.shape.find_option(sku)
    p50, p90 = (job.shape.p50_seconds,) * 2 if option is None else (option.p50_seconds, option.p90_seconds)
    return RunningJob(
        job.job_id,
        job.contract_id,
        start.pool,
        start.gpus,
        now,
        p50_end=now + timedelta(seconds=p50),
        p90_end=now + timedelta(seconds=p90),
        queue=job.queue,
        places=start.places,
        submitted_at=job.submitted_at,
    )


def _compare_types(job: WaitingJob, recorded: str, sku: str) -> float:
    return 1.0 if sku == recorded else _expect_seconds(job, sku) / max(_expect_seconds(job, recorded), 1)


def _expect_seconds(job: WaitingJob, sku: str) -> int:
    option = job.shape.find_option(sku)
    return job.shape.p50_seconds if option is None else option.p50_seconds
