"""The profile of a causal language model in a folder, from its config.json alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.text_format import TextFormat
from trainer.base_models.model_type import CHATGLM_ORIGINAL, is_chatglm, read_model_type, refuse_what_sees
from trainer.base_models.peft_adapter import USUAL_TARGETS
from trainer.base_models.transformers_quiet import transformers
from trainer.errors import BadInput
from trainer.families.chatglm.chatglm import DEFAULT_TARGETS as CHATGLM_TARGETS
from trainer.families.chatglm.chatglm import ORIGINAL_TARGETS
from trainer.families.chatglm.layout import map_config, read_original_config
from trainer.profiles.network import Modules
from trainer.profiles.text_network import SIZES, build_text_network
from trainer.profiles.text_profile import describe_text_network


def profile_text_folder(folder: Path, name: str, *, sizes: Sequence[int] = SIZES) -> BaseModelProfile:
    """Profile a folder by its config.json.

    Raises: BadInput, for a ChatGLM that is not known; ValueError and others, where transformers cannot build it.
    """
    network = build_text_network(read_folder_config(folder), sizes)
    usual = (CHATGLM_TARGETS,) if is_chatglm(folder) else USUAL_TARGETS
    targets = _choose_targets(network.list_modules(), usual)
    return BaseModelProfile(
        name=name,
        family="chatglm" if is_chatglm(folder) else "causal_lm",
        licence="unknown",
        bytes_per_parameter=2 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else 4,
        default_target_modules=targets,
        module_aliases=ORIGINAL_TARGETS if is_chatglm(folder) else {},
        text_format=TextFormat(),
        source=f"config.json of the folder {folder.name}",
        **describe_text_network(network, targets),
    )


def _choose_targets(modules: Modules, usual: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Choose the first of the usual that the model has; else its first linear layers, by which it can be measured."""
    if not modules:
        raise BadInput("model", "has no linear layer that an adapter could go on")
    return next((targets for targets in usual if modules.keys() >= set(targets)), tuple(modules)[:1])


def read_folder_config(folder: Path) -> Any:
    """Read the configuration, running no code of the folder: an architecture that transformers does not have is
    refused, and what reads pictures, too.
    """
    if read_model_type(folder) == CHATGLM_ORIGINAL:
        return transformers.GlmConfig(**map_config(read_original_config(folder)))
    refuse_what_sees(folder)
    return transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
