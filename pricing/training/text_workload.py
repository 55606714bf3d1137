"""What training on text will do: its steps and tokens, counted before it starts."""

from collections.abc import Sequence

from pricing.training.config import TrainingConfig
from pricing.training.step_plan import hold_out_rows, plan_steps
from pricing.training.workload import NoUsableRow, Workload


def plan_text_workload(
    row_lengths: Sequence[int], config: TrainingConfig, learnt_lengths: Sequence[int] | None = None
) -> Workload:
    """Count the work of training on rows of these lengths, in the order of the data.

    Units: lengths in tokens of prompt and completion; a row longer than `max_length` counts as cut. `learnt_lengths`
    are the tokens of each row, as cut, that carry loss.
    Raises: NoUsableRow; ValueError for a row without tokens.
    Source: MISSION, "What the two meters count": the non-padding tokens of every step, epochs counted.
    """
    most = config.max_length
    lengths = [min(most, length) for length in row_lengths]
    if not lengths:
        raise NoUsableRow
    if min(lengths) < 1:
        raise ValueError(f"a row of {min(lengths)} tokens cannot be trained on")
    trained, held_out = hold_out_rows(len(lengths), config)
    trained_lengths = [lengths[row] for row in trained]
    plan = plan_steps(len(trained), config)
    tokens = plan.count_tokens(trained_lengths)
    computed = tokens if config.packing else _expect_padding(trained_lengths, tokens, config)
    return Workload(
        rows=len(trained),
        steps=plan.total_steps,
        micro_batches=plan.count_micro_batches(config.batch_size),
        samples=plan.count_rows(),
        tokens=tokens,
        positions=computed,
        longest=max(lengths),
        evaluated_positions=sum(lengths[row] for row in held_out) * plan.count_epochs(),
        padding_tokens=computed - tokens,
        loss_tokens=None if learnt_lengths is None else plan.count_tokens([learnt_lengths[row] for row in trained]),
    )


def _expect_padding(lengths: Sequence[int], tokens: int, config: TrainingConfig) -> int:
    """Expect the tokens of the run with every batch padded to its longest row, in the proportion of a whole epoch."""
    padded_epoch = _expect_padded_tokens(sorted(lengths), config.batch_size)
    return max(tokens, round(tokens * padded_epoch / sum(lengths)))


def _expect_padded_tokens(lengths: Sequence[int], batch_size: int) -> float:
    """Expect the tokens of one epoch whose shuffled batches are padded to their longest row; `lengths` ascend."""
    full_batches, rest = divmod(len(lengths), batch_size)
    expected = rest * _expect_longest(lengths, rest) if rest else 0.0
    if full_batches:
        expected += full_batches * batch_size * _expect_longest(lengths, batch_size)
    return expected


def _expect_longest(lengths: Sequence[int], batch_size: int) -> float:
    """Expect the length of the longest of `batch_size` rows drawn without replacement.

    The i-th shortest of n rows is the longest of b drawn with probability C(i-1, b-1) / C(n, b), which is b/n for the
    last and shrinks by (i-b)/(i-1) at each step down.
    """
    probability = batch_size / len(lengths)
    expected = 0.0
    for shorter in range(len(lengths) - 1, batch_size - 2, -1):
        expected += probability * lengths[shorter]
        probability *= (shorter + 1 - batch_size) / (shorter or 1)
    return expected
