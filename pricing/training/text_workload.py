"""What a training run will do: its steps and tokens, counted before it starts."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pricing.catalog.profile import BaseModelProfile, ModuleShape
from pricing.training.config import ALL_LINEAR, TrainingConfig
from pricing.training.step_plan import hold_out_rows, plan_steps

# What a text encoder that trains beside an image model gets adapters on, unless the configuration names modules.
TEXT_ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")


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

    Units: rows (or pictures) of one epoch; steps, micro-batches, samples, tokens and positions of all epochs. `tokens`
    is exact, what is billed. `loss_tokens` of them are learnt, the others are context; None where that is not known.
    `padding_tokens` are computed beside them in an unpacked batch: an expectation over shuffles, and not billed.
    `positions` is all that is computed: tokens with their padding, or latent positions; `longest` are those of the
    longest sample. `evaluated_positions` go forward only, to measure the validation loss: they take time, but train
    nothing and are not billed. `encoded_pictures` go through the VAE once, before the first step; one that is mirrored
    counts twice.
    """

    rows: int
    steps: int
    micro_batches: int
    samples: int
    tokens: int
    positions: int
    longest: int
    evaluated_positions: int = 0
    encoded_pictures: int = 0
    loss_tokens: int | None = None
    padding_tokens: int = 0

    @property
    def samples_per_micro_batch(self) -> float:
        return self.samples / self.micro_batches

    @property
    def positions_per_sample(self) -> float:
        return self.positions / self.samples


def plan_text_workload(
    row_lengths: Sequence[int], config: TrainingConfig, learnt_lengths: Sequence[int] | None = None
) -> Workload:
    """Count the work of training on rows of these lengths, in the order of the data.

    Units: lengths in tokens of prompt and completion; a row longer than `max_length` counts as cut. `learnt_lengths`
    are the tokens of each row, as cut, that carry loss.
    Raises: NoUsableRow; ValueError for a row without tokens.
    Source: MISSION, "What the two meters count": the non-padding tokens of every step, epochs counted.
    """
    lengths = [min(length, config.max_length) for length in row_lengths]
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
    """Tokens of the run with every batch padded to its longest row; in the proportion of a whole epoch."""
    padded_epoch = _expect_padded_tokens(sorted(lengths), config.batch_size)
    return max(tokens, round(tokens * padded_epoch / sum(lengths)))


def count_adapter_parameters(profile: BaseModelProfile, config: TrainingConfig) -> int:
    """The parameters that train: for each target module a matrix in→rank and a matrix rank→out.

    DoRA adds one magnitude for each output; LoKr has its own count. A text encoder that trains as well has its own.
    Raises: UnknownTargetModules.
    Source: Hu et al. 2021, "LoRA", section 4.2; rank 8 on q and v of a 7B LLaMA is 4,194,304 (MISSION). Liu et al.
    2024, "DoRA", section 4.1.
    """
    return count_parameters_on(list_target_shapes(profile, config), config)


def count_parameters_on(shapes: Iterable[ModuleShape], config: TrainingConfig) -> int:
    """The parameters that the configuration's adapter has on these modules."""
    return sum(
        shape.count * _count_module_parameters(shape.in_features, shape.out_features, config) for shape in shapes
    )


def list_target_shapes(profile: BaseModelProfile, config: TrainingConfig) -> list[ModuleShape]:
    """The modules that get an adapter, those of trained text encoders too. Raises: UnknownTargetModules."""
    shapes = [shape for name in sorted(name_target_modules(profile, config)) for shape in profile.modules[name]]
    if profile.is_text or not config.train_text_encoder:
        return shapes
    targets = config.target_modules or TEXT_ENCODER_TARGETS
    named = _match(profile.text_modules, targets)
    return shapes + [shape for name in sorted(named) for shape in profile.text_modules[name]]


def name_target_modules(profile: BaseModelProfile, config: TrainingConfig) -> set[str]:
    """The keys of `modules` that the configuration, or else the profile, targets. Raises: UnknownTargetModules."""
    targets = config.target_modules or profile.default_target_modules
    matched = {target: _match(profile.modules, [target]) for target in targets}
    missing = sorted(target for target, names in matched.items() if not names)
    if missing:
        raise UnknownTargetModules(profile.name, missing, sorted(profile.modules))
    return set().union(*matched.values())


def _match(names: Iterable[str], targets: Sequence[str]) -> set[str]:
    """The names that are one of the targets or end in one, as peft matches them; with all-linear every name."""
    if ALL_LINEAR in targets:
        return set(names)
    return {name for name in names for target in targets if name == target or name.endswith(f".{target}")}


def _count_module_parameters(width_in: int, width_out: int, config: TrainingConfig) -> int:
    if config.variant == "lokr":
        return _count_lokr_parameters(width_in, width_out, config.lora_rank)
    magnitudes = width_out if config.variant == "dora" else 0
    return config.lora_rank * (width_in + width_out) + magnitudes


def _count_lokr_parameters(width_in: int, width_out: int, rank: int) -> int:
    """A Kronecker product of a small full matrix and a large one, the latter of low rank where that is smaller.

    Source: peft, `LoKrLayer.create_adapter_parameters`, with its default factors.
    """
    small_out, large_out = _factorize(width_out)
    small_in, large_in = _factorize(width_in)
    is_low_rank = rank < max(large_out, large_in) / 2
    return small_out * small_in + (rank * (large_out + large_in) if is_low_rank else large_out * large_in)


def _factorize(width: int) -> tuple[int, int]:
    """The two factors of a width that lie closest together, the smaller first."""
    small = next(factor for factor in range(math.isqrt(width), 0, -1) if width % factor == 0)
    return small, width // small


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
