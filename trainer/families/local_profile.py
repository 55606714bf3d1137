"""The profile of a model that the catalogue does not know, read off its architecture without loading a weight."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from pricing.catalog import BaseModelProfile
from pricing.estimate.text_format import TextFormat
from trainer.config import BaseModelSource
from trainer.families.transformers_quiet import transformers


def find_profile(source: BaseModelSource) -> BaseModelProfile | None:
    """The catalogue's profile; for a folder one made on the meta device; None where transformers cannot build it."""
    if source.profile is not None or not (source.weights / "config.json").is_file():
        return source.profile
    return _profile_folder(source.weights, source.name)


@lru_cache(maxsize=4)
def _profile_folder(folder: Path, name: str) -> BaseModelProfile | None:
    try:
        config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(config)
        return _describe(model, name)
    except (AttributeError, KeyError, OSError, ValueError):
        return None  # an estimate is a help; training does without


def _describe(model: Any, name: str) -> BaseModelProfile:
    config = model.config
    parameters = {id(parameter): parameter.numel() for parameter in model.parameters()}
    head = model.get_output_embeddings()
    modules = {
        path.rpartition(".")[2]: (layer.in_features, layer.out_features)
        for path, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer is not head
    }
    return BaseModelProfile(
        name=name,
        family="causal_lm",
        licence="unknown",
        parameters=sum(parameters.values()),
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        attention_heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        context_length=config.max_position_embeddings,
        bytes_per_parameter=2 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else 4,
        modules=modules,
        default_target_modules=tuple(key for key in ("q_proj", "v_proj") if key in modules) or tuple(modules)[:1],
        tokenizer="",
        text_format=TextFormat(),
    )
