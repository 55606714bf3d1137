"""The adapter that peft puts on a model, by the keys of the configuration."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from pricing.training.config import ALL_LINEAR, TrainingConfig
from trainer.base_models.transformers_quiet import peft
from trainer.errors import BadInput

SHOWN_MODULES = 20


def describe_adapter(config: TrainingConfig, targets: list[str], task_type: str | None) -> Any:
    """Make the configuration from which peft builds the adapter: LoRA, rsLoRA, DoRA or LoKr."""
    shared = {"task_type": task_type, "r": config.lora_rank, "target_modules": targets}
    if config.variant == "lokr":
        return peft.LoKrConfig(**shared, alpha=config.lora_alpha)
    return peft.LoraConfig(
        **shared,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        use_rslora=config.variant == "rslora",
        use_dora=config.variant == "dora",
    )


def put_adapter_on(model: Any, adapter: Any, name: str = "default") -> Any:
    with warnings.catch_warnings():  # peft 0.21 asks transformers 5 for a property by its former name
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        return peft.get_peft_model(model, adapter, name)


# By how architectures name their layers of attention: apart, or fused in one.
USUAL_TARGETS = (("q_proj", "v_proj"), ("query_key_value",), ("qkv_proj",))


def choose_usual_targets(model: torch.nn.Module) -> tuple[str, ...]:
    """Choose what usually gets adapters where nobody said what: the first of the usual whose layers the model has."""
    names = {name.rpartition(".")[2] for name, _ in _linear_layers(model)}
    return next((targets for targets in USUAL_TARGETS if names >= set(targets)), USUAL_TARGETS[0])


def name_targets(model: Any, targets: Sequence[str]) -> list[str]:
    """Name the modules that get adapters: those asked for, or with all-linear every linear layer but the output layer.

    Raises: BadInput.
    """
    if list(targets) != [ALL_LINEAR]:
        check_targets(model, list(targets))
        return list(targets)
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return sorted({name.rpartition(".")[2] for name, module in _linear_layers(model) if module is not head})


def check_targets(model: torch.nn.Module, targets: list[str]) -> None:
    """Check that each name matches some linear layer; peft itself is content if one of them does. Raises: BadInput."""
    linear = [name for name, _ in _linear_layers(model)]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            known = sorted({name.rpartition(".")[2] for name in linear})[:SHOWN_MODULES]
            raise BadInput("target_modules", f"{target!r} matches no linear layer; this model has {', '.join(known)}")


def _linear_layers(model: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
