"""Training losses as workers tell them: kept by steps, and thinned out for a curve that shows every spike."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from broker.jobs.running.locked_run import LockedRun
from broker.jobs.tables import LossPoint
from broker.persistence.driver import Command
from broker.persistence.set_writes import command_inserts


@dataclass(frozen=True)
class StepLosses:
    """The losses of some steps that follow one another, the last of which is `step`: mean, lowest and highest."""

    first_step: int
    step: int
    mean: float
    low: float
    high: float


def command_losses(told: Iterable[tuple[LockedRun, Sequence[StepLosses]]]) -> list[Command]:
    """Make the command that keeps the losses of runs; those that were told before change nothing."""
    rows = [
        {"job_id": locked.job.id, "run_id": locked.run.id, "customer_id": locked.job.customer_id, **asdict(losses)}
        for locked, each in told
        for losses in each
    ]
    return command_inserts(LossPoint, rows, skipping=True)
