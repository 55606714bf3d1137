"""Which rows each step trains on: the plan that the quote was counted by."""

from collections.abc import Hashable, Sequence

from pricing.estimate.step_plan import StepPlan, hold_out_rows, plan_steps, shuffle_rows
from pricing.estimate.training_config import TrainingConfig

__all__ = ["StepPlan", "hold_out_copies", "hold_out_rows", "plan_steps", "shuffle_rows"]


def hold_out_copies(sources: Sequence[Hashable | None], config: TrainingConfig) -> tuple[list[int], list[int]]:
    """As `hold_out_rows`, where several rows may be copies of one source, as the repeats of a picture are.

    All copies are on one side, so that no held-out picture is learnt; of those held out one is looked at. Rows without
    a source always train.
    """
    distinct = [source for source in dict.fromkeys(sources) if source is not None]
    _, chosen = hold_out_rows(len(distinct), config)
    held_out = {distinct[number] for number in chosen}
    trained = [row for row, source in enumerate(sources) if source not in held_out]
    first_rows = {source: row for row, source in reversed(list(enumerate(sources)))}
    return trained, sorted(first_rows[source] for source in held_out)
