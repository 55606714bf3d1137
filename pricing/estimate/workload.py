"""What a training run will do: its steps and tokens, counted before it starts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pricing.catalog import BaseModelProfile
from pricing.estimate.training_config import TrainingConfig


class NoUsableRow(ValueError):
    """The data set has no row to train on."""

    def __init__(self) -> None:
        super().__init__("the data set has no usable row")


class UnknownTargetModules(LookupError):
    """The configuration targets modules that the base model does not have."""

    def __init__(self, base_model: str, missing: list[str], known: list[str]) -> None:
        self.base_model, self.missing, self.known = base_model, missing, known
        super().__init__(
            f"{base_model} has no module named {', '.join(missing)}; its modules are: {', '.join(known)}",
        )


@dataclass(frozen=True)
class Workload:
    """The work of one run.

    Units: rows of one epoch; steps and tokens of all epochs. `tokens` is exact, what is billed: padding does not count;
    `padded_tokens` is what is computed, an expectation over shuffles; `longest_row` in tokens.
    """

    rows: int
    steps: int
    tokens: int
    padded_tokens: int
    longest_row: int


def plan_text_workload(row_lengths: Sequence[int], config: TrainingConfig) -> Workload:
    """Count the work of training on rows of these lengths: every row in every epoch, none dropped.

    Units: lengths in tokens of prompt and completion; a row longer than `max_length` counts as cut.
    Raises: NoUsableRow; ValueError for a row without tokens.
    Source: MISSION, "What the two meters count": the non-padding tokens of every step, epochs counted.
    """
    lengths = sorted(min(length, config.max_length) for length in row_lengths)
    if not lengths:
        raise NoUsableRow
    if lengths[0] < 1:
        raise ValueError(f"a row of {lengths[0]} tokens cannot be trained on")
    tokens = config.epochs * sum(lengths)
    padded = config.epochs * _expect_padded_tokens(lengths, config.batch_size)
    return Workload(
        rows=len(lengths),
        steps=config.epochs * math.ceil(len(lengths) / config.batch_size),
        tokens=tokens,
        padded_tokens=max(tokens, round(padded)),
        longest_row=lengths[-1],
    )


def count_adapter_parameters(profile: BaseModelProfile, config: TrainingConfig) -> int:
    """The parameters that train: for each target module of each layer a matrix in→rank and a matrix rank→out.

    Raises: UnknownTargetModules.
    Source: Hu et al. 2021, "LoRA", section 4.2; rank 8 on q and v of a 7B LLaMA is 4,194,304 (MISSION).
    """
    targets = set(config.target_modules or profile.default_target_modules)
    missing = sorted(targets - profile.modules.keys())
    if missing:
        raise UnknownTargetModules(profile.name, missing, sorted(profile.modules))
    return config.lora_rank * profile.layers * sum(sum(profile.modules[target]) for target in targets)


def _expect_padded_tokens(lengths: Sequence[int], batch_size: int) -> float:
    """Tokens of one epoch when each batch of a random shuffle is padded to its longest row; `lengths` ascend."""
    full_batches, rest = divmod(len(lengths), batch_size)
    expected = rest * _expect_longest(lengths, rest) if rest else 0.0
    if full_batches:
        expected += full_batches * batch_size * _expect_longest(lengths, batch_size)
    return expected


def _expect_longest(lengths: Sequence[int], batch_size: int) -> float:
    """Mean length of the longest of `batch_size` rows drawn without replacement.

    The i-th shortest of n rows is the longest of b drawn with probability C(i-1, b-1) / C(n, b), which is b/n for the
    last and shrinks by (i-b)/(i-1) at each step down.
    """
    probability = batch_size / len(lengths)
    expected = 0.0
    for place in range(len(lengths), batch_size - 1, -1):
        expected += probability * lengths[place - 1]
        probability *= (place - batch_size) / max(1, place - 1)
    return expected
