"""The runs of a replayed window: how long one takes where it starts now, and what the planner is told of it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.jobs import RunningJob, Shape, WaitingJob
from broker.scheduling.simulation.played import PlayedTurn
from broker.scheduling.simulation.window import Turn, Window

SHORTEST = timedelta(milliseconds=1)


@dataclass(slots=True)
class Progress:
    """A run under way: of which turn it is, and what the planner was told. `stopped`: its job waits again then."""

    number: int
    run: RunningJob
    stopped: bool = False


class Lengths:
    """How long turns run: as they were recorded to, on another GPU type longer or shorter as their estimates are."""

    def __init__(self, window: Window) -> None:
        self.ends_at = window.ends_at
        self.skus = {pool.name: pool.sku for _, told in window.conditions for pool in told.pools}

    def find_sku(self, pool: str) -> str:
        """Find the GPU type of a pool; its own name, where the window does not tell."""
        return self.skus.get(pool, pool)

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

    def find_done(self, played: PlayedTurn) -> float:
        """Find which share of a turn's work is done by what it has run so far."""
        shares = [
            (stint.ended_at - stint.began_at - stint.restart) / max(self.find(played.turn, stint.sku), SHORTEST)
            for stint in played.stints
        ]
        return min(max(sum(shares), 0.0), 1.0)

    def make_rest(self, played: PlayedTurn) -> WaitingJob:
        """Make the job that waits again for what is left of its work, at its age."""
        job, done = played.turn.job, self.find_done(played)
        ran = sum(((stint.ended_at - stint.began_at) for stint in played.stints), timedelta(0))
        return replace(job, shape=_shorten(job.shape, 1 - done), seconds_done=round(ran.total_seconds()))


def make_lingering(recorded: RunningJob, run: RunningJob) -> RunningJob:
    """Make what is left of a run, which its job has left already, where the run is in the replay."""
    return replace(recorded, pool=run.pool, gpus=run.gpus, places=run.places)


def make_run(turn: Turn, start: Start, sku: str, now: datetime, done: float = 0.0) -> RunningJob:
    """Make what the planner is told of a run that starts now: as it was told live, where it was.

    `done` is the share of its work that it had done before.
    """
    job, told = turn.job, turn.run
    if told is not None and told.pool == start.pool and not done:
        p90_end = None if told.p90_end is None else now + (told.p90_end - told.started_at)
        length = told.p50_end - told.started_at
        return replace(told, started_at=now, p50_end=now + length, p90_end=p90_end, places=start.places)
    option = job.shape.find_option(sku)
    p50, p90 = (job.shape.p50_seconds,) * 2 if option is None else (option.p50_seconds, option.p90_seconds)
    left = 1 - done
    return RunningJob(
        job.job_id,
        job.contract_id,
        start.pool,
        start.gpus,
        now,
        p50_end=now + timedelta(seconds=p50) * left,
        p90_end=now + timedelta(seconds=p90) * left,
        queue=job.queue,
        places=start.places,
        submitted_at=job.submitted_at,
    )


def _compare_types(job: WaitingJob, recorded: str, sku: str) -> float:
    return 1.0 if sku == recorded else _expect_seconds(job, sku) / max(_expect_seconds(job, recorded), 1)


def _shorten(shape: Shape, left: float) -> Shape:
    """Leave a share of what a job takes on each type; the finer is lost in whole seconds."""
    options = [
        replace(
            option,
            p50_seconds=max(round(option.p50_seconds * left), 1),
            p90_seconds=max(round(option.p90_seconds * left), 1),
            price_micros=round(option.price_micros * left),
        )
        for option in shape.options
    ]
    return replace(shape, options=tuple(options))


def _expect_seconds(job: WaitingJob, sku: str) -> int:
    option = job.shape.find_option(sku)
    return job.shape.p50_seconds if option is None else option.p50_seconds
