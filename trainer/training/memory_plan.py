"""Fitting a run into memory: when to recompute activations, and what to say, or try, once it has run out."""

from collections.abc import Sequence
from typing import Any

import torch

from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.memory_advice import Fit, list_fits
from pricing.resources.trainer_memory import needs_checkpointing
from pricing.training.adapter_parameters import UnknownTargetModules
from pricing.training.buckets import plan_buckets
from pricing.training.config import TrainingConfig
from pricing.training.image_workload import count_positions
from pricing.training.workload import Workload
from trainer.base_models.config import BaseModelSource
from trainer.base_models.number_format import choose_auto_precision
from trainer.families.family import Family
from trainer.families.registry import get_family_class
from trainer.machine.available_memory import read_available_gib
from trainer.profiles.local_profile import find_profile


def recompute_if_needed(
    family: Family[Any],
    config: TrainingConfig,
    source: BaseModelSource,
    examples: Sequence[Any],
    *,
    available_gib: float,
) -> bool:
    """Switch gradient checkpointing on as the configuration or, with auto, the estimate says. Returns whether it is.

    Auto leaves it off where the base model has no profile to estimate by.
    """
    recomputes = config.gradient_checkpointing is True
    if config.gradient_checkpointing == "auto" and examples:
        profile = find_profile(source)
        longest = max(family.count_positions(example) for example in examples)
        recomputes = profile is not None and _needs_checkpointing(
            profile, name_layers(config, family), _describe_batch(longest, len(examples)), available_gib
        )
    if recomputes:
        family.recompute_activations()
    return recomputes


def name_layers(config: TrainingConfig, family: Family[Any] | type[Family[Any]]) -> TrainingConfig:
    """Name the target modules as the profile does: a ChatGLM's may have the names of its original layout."""
    return config.model_copy(update={"target_modules": family.translate_targets(config.target_modules)})


def _describe_batch(longest: int, rows: int) -> Workload:
    """Describe the workload as far as memory depends on it: one full batch of samples as long as the longest."""
    return Workload(
        rows=rows, steps=1, micro_batches=1, samples=rows, tokens=0, positions=longest * rows, longest=longest
    )


def _needs_checkpointing(
    profile: BaseModelProfile, config: TrainingConfig, workload: Workload, available_gib: float
) -> bool:
    try:
        return needs_checkpointing(
            profile,
            config,
            workload,
            precision=choose_auto_precision(),
            available_gib=available_gib,
            on_cpu=not torch.cuda.is_available(),
        )
    except UnknownTargetModules:  # parts of names, or the output layer: peft knows them, the profile does not
        return False


def find_fits(config: TrainingConfig, source: BaseModelSource) -> list[Fit]:
    """Find what would have fitted, by the estimate; empty where nothing is known.

    Rows are taken to be as long as `max_length`, pictures as large as their largest bucket.
    """
    profile = find_profile(source)
    if profile is None:
        return []
    try:
        return list_fits(
            profile,
            name_layers(config, get_family_class(source)),
            _describe_batch(_count_longest(config, profile), config.batch_size),
            precision=choose_auto_precision(),
            available_gib=read_available_gib(),
            on_gpu=torch.cuda.is_available(),
        )
    except UnknownTargetModules:
        return []


def _count_longest(config: TrainingConfig, profile: BaseModelProfile) -> int:
    side = config.resolution or profile.resolution
    if profile.is_text or side is None:
        return min(config.max_length, profile.context_length)
    return max(count_positions(bucket) for bucket in plan_buckets(side))
