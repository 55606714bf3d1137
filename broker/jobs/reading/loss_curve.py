"""The course of a job's loss: training loss thinned out to buckets that keep each spike, validation loss, marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Float, cast, func, literal, select

from broker.jobs.tables import JobEvent, LossPoint
from broker.persistence.documents import json_integer
from broker.work import Work

MOST_BUCKETS = 1000
MOST_VALIDATIONS = 2000
MOST_MARKS = 200
# What interrupts a curve, or is kept of it.
MARKED = ("checkpoint_saved", "run_preempted", "run_lost", "run_stopped", "run_failed", "overfitting_noticed")


@dataclass(frozen=True)
class LossBucket:
    """The training loss of some steps up to `step`: the mean of all of them, the lowest and the highest of any."""

    step: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ValidationLoss:
    """The loss of the held-out rows after a step; None where it was not finite."""

    step: int
    loss: float | None


@dataclass(frozen=True)
class CurveMark:
    """Something that happened to the job: the step that it was at then (None: before the first), and what."""

    step: int | None
    kind: str
    at: datetime


@dataclass(frozen=True)
class LossCurve:
    """All that a job's curve is drawn of; `steps_in_bucket` is 1 where nothing was thinned out by the reading.

    `first` and `last` are the steps that were asked for.
    """

    training: Sequence[LossBucket]
    validation: Sequence[ValidationLoss]
    marks: Sequence[CurveMark]
    steps_in_bucket: int = 1
    first: int = 1
    last: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.training or self.validation)


def compute_bucket_steps(steps: int, buckets: int = MOST_BUCKETS) -> int:
    """Compute how many steps go into one of at most so many buckets."""
    return max(1, -(-steps // buckets))


async def read_loss_curve(
    work: Work, job_id: str, *, buckets: int = MOST_BUCKETS, first: int = 1, last: int | None = None
) -> LossCurve:
    """Read the curve of a job that the actor sees, of all its runs, in three statements; or from one step to another.

    Steps that were done twice are in one bucket: its mean is that of both, its lowest and highest those of any. So the
    fewer steps are asked for, the finer they are told.
    """
    reached = await work.session.scalar(select(func.max(LossPoint.step)).where(LossPoint.job_id == job_id)) or 0
    until = reached if last is None else min(last, reached)
    width = compute_bucket_steps(max(1, until - first + 1), buckets)
    training = await _read_training(work, job_id, width, first, until) if reached else []
    validation, marks = await _read_events(work, job_id)
    most = until if last is None or not reached else last
    return LossCurve(
        training,
        [each for each in validation if _is_within(each.step, first, last)],
        [each for each in marks if each.step is None or _is_within(each.step, first, last)],
        width,
        first,
        most,
    )


def _is_within(step: int, first: int, last: int | None) -> bool:
    return first <= step and (last is None or step <= last)


async def _read_training(work: Work, job_id: str, width: int, first: int, last: int) -> list[LossBucket]:
    bucket = (LossPoint.step - 1) // literal(width, BigInteger)
    steps = cast(LossPoint.step - LossPoint.first_step + 1, Float)
    mean = func.sum(LossPoint.mean * steps) / func.sum(steps)
    query = (
        select(func.max(LossPoint.step), mean, func.min(LossPoint.low), func.max(LossPoint.high))
        .where(LossPoint.job_id == job_id, LossPoint.step >= first, LossPoint.first_step <= last)
        .group_by(bucket)
        .order_by(bucket)
    )
    return [LossBucket(*row) for row in await work.session.execute(query)]


async def _read_events(work: Work, job_id: str) -> tuple[list[ValidationLoss], list[CurveMark]]:
    """Read what was told of the job by event: an end has no step of its own, so it stands at the last one told."""
    step = json_integer(JobEvent.data["step"])
    query = (
        select(JobEvent.kind, step, JobEvent.data["loss"].astext, JobEvent.created_at)
        .where(JobEvent.job_id == job_id, JobEvent.kind.in_(("validated", *MARKED)))
        .order_by(JobEvent.id.desc())
        .limit(MOST_VALIDATIONS + MOST_MARKS)
    )
    validation, marks, reached = list[ValidationLoss](), list[CurveMark](), None
    for kind, told, loss, at in reversed((await work.session.execute(query)).all()):
        reached = told if told is not None else reached
        if kind == "validated":
            validation.append(ValidationLoss(told, None if loss is None else float(loss)))
        else:
            marks.append(CurveMark(reached, kind, at))
    return validation[-MOST_VALIDATIONS:], marks[-MOST_MARKS:]
