"""The parameters of an adapter and the modules that it sits on, counted from the base model's profile."""

import math
from collections.abc import Iterable, Sequence

from pricing.catalog.near_names import suggest
from pricing.catalog.profile import BaseModelProfile, ModuleShape, is_target
from pricing.training.config import ALL_LINEAR, TrainingConfig

# What a text encoder that trains beside an image model gets adapters on, unless the configuration names modules.
TEXT_ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")


class UnknownTargetModules(LookupError):
    """The configuration targets modules that the base model does not have."""

    def __init__(self, base_model: str, missing: list[str], known: list[str]) -> None:
        self.base_model, self.missing, self.known = base_model, missing, known
        super().__init__(
            f"{base_model} has no module named {', '.join(missing)}; {suggest(missing[0], known)}its modules are: "
            f"{', '.join(known)}",
        )


def count_adapter_parameters(profile: BaseModelProfile, config: TrainingConfig) -> int:
    """Count the parameters that train: for each target module a matrix in→rank and a matrix rank→out.

    DoRA adds one magnitude for each output; LoKr has its own count. A text encoder that trains as well has its own.
    Raises: UnknownTargetModules.
    Source: Hu et al. 2021, "LoRA", section 4.2; rank 8 on q and v of a 7B LLaMA is 4,194,304 (MISSION). Liu et al.
    2024, "DoRA", section 4.1.
    """
    return count_parameters_on(list_target_shapes(profile, config), config)


def count_parameters_on(shapes: Iterable[ModuleShape], config: TrainingConfig) -> int:
    """Count the parameters that the configuration's adapter has on these modules."""
    return sum(
        shape.count * _count_module_parameters(shape.in_features, shape.out_features, config) for shape in shapes
    )


def list_target_shapes(profile: BaseModelProfile, config: TrainingConfig) -> Sequence[ModuleShape]:
    """List the modules that get an adapter, those of trained text encoders too. Raises: UnknownTargetModules."""
    if config.target_modules or not profile.usual_shapes:
        named = sorted(name_target_modules(profile, config))
        shapes: Sequence[ModuleShape] = [shape for name in named for shape in profile.modules[name]]
    else:
        shapes = profile.usual_shapes
    if profile.is_text or not config.train_text_encoder:
        return shapes
    targets = config.target_modules or TEXT_ENCODER_TARGETS
    trained = sorted(_match(profile.text_modules, targets))
    return [*shapes, *(shape for name in trained for shape in profile.text_modules[name])]


def name_target_modules(profile: BaseModelProfile, config: TrainingConfig) -> set[str]:
    """Name the keys of `modules` that the configuration, or else the profile, targets.

    Where text encoders train, a target may be one of theirs alone. Raises: UnknownTargetModules.
    """
    named = config.target_modules or profile.default_target_modules
    targets = [module for target in named for module in profile.module_aliases.get(target, (target,))]
    matched = {target: _match(profile.modules, [target]) for target in targets}
    of_text = profile.text_modules if config.train_text_encoder else {}
    missing = sorted(target for target, names in matched.items() if not names and not _match(of_text, [target]))
    if missing:
        raise UnknownTargetModules(profile.name, missing, sorted({*profile.modules, *of_text}))
    return set().union(*matched.values())


def _match(names: Iterable[str], targets: Sequence[str]) -> set[str]:
    """Match the names that are a target or end in one, as peft does; all-linear matches every name."""
    if ALL_LINEAR in targets:
        return set(names)
    return {name for name in names for target in targets if is_target(name, target)}


def _count_module_parameters(width_in: int, width_out: int, config: TrainingConfig) -> int:
    if config.variant == "lokr":
        return _count_lokr_parameters(width_in, width_out, config.lora_rank)
    magnitudes = width_out if config.variant == "dora" else 0
    return config.lora_rank * (width_in + width_out) + magnitudes


def _count_lokr_parameters(width_in: int, width_out: int, rank: int) -> int:
    """Count a Kronecker product of a small full matrix and a large one, the latter of low rank where that is smaller.

    Source: peft, `LoKrLayer.create_adapter_parameters`, with its default factors.
    """
    small_out, large_out = _factorize(width_out)
    small_in, large_in = _factorize(width_in)
    is_low_rank = rank < max(large_out, large_in) / 2
    return small_out * small_in + (rank * (large_out + large_in) if is_low_rank else large_out * large_in)


def _factorize(width: int) -> tuple[int, int]:
    """Split a width into the two factors that lie closest together, the smaller first."""
    small = next(factor for factor in range(math.isqrt(width), 0, -1) if width % factor == 0)
    return small, width // small
