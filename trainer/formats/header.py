"""The strings in a file's header: those of sd-scripts (`ss_…`, `sshs_…`), which WebUI and the model sites read."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save

from trainer.formats.lora_set import LoraSet
from trainer.formats.model_version import find_base_version

LEGACY_OFFSET, LEGACY_LENGTH, LEGACY_DIGITS = 0x100000, 0x10000, 8
# What sd-scripts calls the keys of our configuration.
SS_OF_CONFIG = {
    "learning_rate": "ss_learning_rate",
    "epochs": "ss_num_epochs",
    "batch_size": "ss_batch_size_per_device",
    "gradient_accumulation": "ss_gradient_accumulation_steps",
    "lr_scheduler": "ss_lr_scheduler",
    "warmup_steps": "ss_lr_warmup_steps",
    "max_steps": "ss_max_train_steps",
    "seed": "ss_seed",
    "lora_dropout": "ss_network_dropout",
    "optimizer": "ss_optimizer",
}
SS_OF_PICTURES = {
    "noise_offset": "ss_noise_offset",
    "min_snr_gamma": "ss_min_snr_gamma",
    "resolution": "ss_resolution",
}
SS_OF_FACTS = {"steps": "ss_steps", "epoch": "ss_epoch"}
# Of Stable Diffusion: sd-scripts trains nothing else. It hashes a base model that is one file, a folder it only names.
SS_OF_PICTURE_FACTS = {
    "base_model": "ss_sd_model_name",
    "sd_model_name": "ss_sd_model_name",
    "sd_model_hash": "ss_sd_model_hash",
    "new_sd_model_hash": "ss_new_sd_model_hash",
    "images": "ss_num_train_images",
    "tag_frequency": "ss_tag_frequency",
}


def describe_for_sd_scripts(lora: LoraSet, *, output_name: str) -> dict[str, str]:
    """Return the `ss_…` strings that we know; what we do not know is left out rather than made up.

    Where layers differ in rank or alpha, the largest rank and `Dynamic`, as LoRA tools write it.
    """
    ranks = {layer.rank for layer in lora.layers}
    alphas = {layer.alpha for layer in lora.layers}
    known = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(ranks.pop()) if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": str(alphas.pop()) if len(alphas) == 1 else "Dynamic",
        "ss_output_name": output_name,
    }
    version = find_base_version(lora)
    if version is not None:
        known |= {"ss_base_model_version": version, "ss_v2": str(version == "sd_v2")}
    described = _describe_training(lora.header, of_pictures=version is not None)
    return {**known, **described, **_keep_given(lora.header)}


def _keep_given(header: Mapping[str, str]) -> dict[str, str]:
    """Keep what a file of sd-scripts said of its training, but for what is told anew from the tensors."""
    anew = {"ss_network_module", "ss_network_dim", "ss_network_alpha", "ss_output_name"}
    return {key: value for key, value in header.items() if key.startswith("ss_") and key not in anew}


def _describe_training(header: Mapping[str, str], *, of_pictures: bool) -> dict[str, str]:
    config: dict[str, Any] = json.loads(header.get("training_config", "{}"))
    keys = SS_OF_CONFIG | (SS_OF_PICTURES if of_pictures else {})
    facts = SS_OF_FACTS | (SS_OF_PICTURE_FACTS if of_pictures else {})
    known = {ss: config[key] for key, ss in keys.items() if config.get(key) is not None}
    known |= {ss: header[key] for key, ss in facts.items() if key in header}
    return {ss: str(value) for ss, value in known.items()}


def hash_like_sd_scripts(tensors: Mapping[str, torch.Tensor], header: Mapping[str, str]) -> dict[str, str]:
    """Compute `sshs_model_hash` and `sshs_legacy_hash`, by which WebUI knows a model whatever its header says.

    The first is the SHA-256 of what follows the header; the second that of 64 KiB from 1 MiB on, with only the `ss_…`
    strings in the header, in 8 digits.
    Source: `precalculate_safetensors_hashes` of sd-scripts.
    """
    content = save(dict(tensors), {key: value for key, value in header.items() if key.startswith("ss_")})
    start = 8 + int.from_bytes(content[:8], "little")
    legacy = content[LEGACY_OFFSET : LEGACY_OFFSET + LEGACY_LENGTH]
    return {
        "sshs_model_hash": hashlib.sha256(memoryview(content)[start:]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(legacy).hexdigest()[:LEGACY_DIGITS],
    }
