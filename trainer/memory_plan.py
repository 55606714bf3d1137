"""Fitting a run into memory: when to recompute activations, and what to say, or try, once it has run out."""

from collections.abc import Sequence
from typing import Any

import torch

from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.memory import needs_checkpointing
from pricing.estimate.memory_advice import Fit, list_fits
from pricing.estimate.training_config import TrainingConfig
from pricing.estimate.workload import NoUsableRow, UnknownTargetModules, Workload, plan_text_workload
from trainer.available_memory import read_available_gib
from trainer.config import BaseModelSource
from trainer.families.local_profile import find_profile
from trainer.families.number_format import choose_auto_precision


def recompute_if_needed(
    family: Any, config: TrainingConfig, source: BaseModelSource, examples: Sequence[Any], *, available_gib: float
) -> bool:
    """Switch gradient checkpointing on as the configuration or, with auto, the estimate says. Returns whether it is.

    Auto leaves it off where the base model has no profile to estimate by.
    """
    recomputes = config.gradient_checkpointing is True
    profile = None if source.is_stable_diffusion else find_profile(source)
    lengths = [len(example.token_ids) for example in examples if hasattr(example, "token_ids")]
    if config.gradient_checkpointing == "auto" and profile is not None and lengths:
        workload = plan_text_workload(lengths, config)
        recomputes = _needs_checkpointing(profile, config, workload, available_gib)
    if recomputes and hasattr(family, "recompute_activations"):
        family.recompute_activations()
    return recomputes


def _needs_checkpointing(
    profile: BaseModelProfile, config: TrainingConfig, workload: Workload, available_gib: float
) -> bool:
    try:
        return needs_checkpointing(
            profile, config, workload, precision=choose_auto_precision(), available_gib=available_gib
        )
    except UnknownTargetModules:  # parts of names, or the output layer: peft knows them, the profile does not
        return False


def find_fits(config: TrainingConfig, source: BaseModelSource) -> list[Fit]:
    """What would have fitted, by the estimate, for rows as long as `max_length`; empty where nothing is known."""
    profile = None if source.is_stable_diffusion else find_profile(source)
    if profile is None:
        return []
    longest = min(config.max_length, profile.context_length)
    workload = Workload(
        rows=config.batch_size,
        steps=1,
        micro_batches=1,
        samples=config.batch_size,
        tokens=longest * config.batch_size,
        positions=longest * config.batch_size,
        longest=longest,
    )
    try:
        return list_fits(
            profile,
            config,
            workload,
            precision=choose_auto_precision(),
            available_gib=read_available_gib(),
            on_gpu=torch.cuda.is_available(),
        )
    except (UnknownTargetModules, NoUsableRow):
        return []
