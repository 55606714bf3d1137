"""Lost work: what of a run's usage its customer keeps, and what is borne after its end, and for which cause. Pure.

A customer pays for progress it can keep. Where a run ends by our doing, what it used after its last durable checkpoint
is borne (DESIGN, decision 14; decisions 0019 and 0027).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from broker.ledger.books.causes import OUR_DOING, WITH_CHECKPOINT, Cause
from pricing.usage import Unit


@dataclass(frozen=True)
class Mark:
    """An interval of a run, by its number, that ends where the run wrote the checkpoint of a step."""

    step: int
    sequence: int


@dataclass(frozen=True)
class Checkpoints:
    """The steps of which a run has a checkpoint that is durable and usable, and where it wrote any at all."""

    durable_steps: Collection[int] = ()
    marks: Collection[Mark] = ()


@dataclass(frozen=True)
class Portion:
    """What one capture has of a run's usage, and what of that its customer is charged for still.

    It begins at the interval with the number `first_sequence`, and goes beyond none that ends at a checkpoint.
    Units: GPU-seconds or tokens.
    """

    capture_id: int
    first_sequence: int
    unit: Unit
    used: int
    charged: int


@dataclass(frozen=True)
class Kept:
    """What of a run is kept: the steps up to its last durable checkpoint, and the intervals up to a number.

    `step` None: it has no checkpoint, so nothing is kept. `last_sequence` None: the interval that ends at the
    checkpoint has not come; it had its number before the upload began, so whatever has come lies before it.
    """

    step: int | None
    last_sequence: int | None

    def has(self, sequence: int) -> bool:
        return self.last_sequence is None or sequence <= self.last_sequence


@dataclass(frozen=True)
class LostWork:
    """What is taken back from a customer, and borne for a cause. `after_step` None: the run has no checkpoint."""

    cause: Cause
    after_step: int | None
    portions: tuple[Portion, ...]

    def count(self, unit: Unit) -> int:
        return sum(portion.charged for portion in self.portions if portion.unit == unit)


def find_kept(checkpoints: Checkpoints) -> Kept:
    """Find what a run keeps: all up to the first interval that ends at its most advanced durable checkpoint.

    A run that went back to an earlier checkpoint may have written one step twice: what lies between is no progress.
    """
    if not checkpoints.durable_steps:
        return Kept(step=None, last_sequence=-1)
    step = max(checkpoints.durable_steps)
    return Kept(step, min((mark.sequence for mark in checkpoints.marks if mark.step == step), default=None))


def decide_lost_work(cause: Cause, checkpoints: Checkpoints, portions: Sequence[Portion]) -> LostWork | None:
    """Decide what an ended run's customer no longer pays for; None where it goes on paying for all.

    `portions` are all that the run used so far, in any order. Asked again, once more usage has come, it decides the
    same of what it decided on before: nothing that was borne is ever charged again.
    """
    kept = find_kept(checkpoints)
    after = [portion for portion in portions if not kept.has(portion.first_sequence)]
    borne_for = _find_cause(cause, wrote_no_checkpoint=_has_trained(after, checkpoints.marks, kept))
    lost = tuple(portion for portion in after if portion.charged > 0)
    return LostWork(borne_for, kept.step, lost) if borne_for is not None and lost else None


def _find_cause(cause: Cause, *, wrote_no_checkpoint: bool) -> Cause | None:
    """Find for which cause lost work is borne: an end by our doing, or a stop whose checkpoint did not come."""
    if cause in OUR_DOING:
        return cause
    return Cause.CHECKPOINT_LOST if cause in WITH_CHECKPOINT and wrote_no_checkpoint else None


def _has_trained(after: Iterable[Portion], marks: Iterable[Mark], kept: Kept) -> bool:
    """Tell whether a run trained on after what is kept: letting its devices go takes time, but no tokens."""
    has_tokens = any(portion.unit == Unit.TOKENS and portion.used > 0 for portion in after)
    return has_tokens or any(not kept.has(mark.sequence) for mark in marks)
