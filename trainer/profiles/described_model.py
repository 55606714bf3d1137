"""What the broker must know of a base model that its operator adds: profile, tokenizer, hash of the files."""

import hashlib
from pathlib import Path
from typing import cast

from pricing.catalog import find_base_model, get_base_model
from pricing.catalog.described import ModelDescription
from pricing.catalog.profile import ADDED_TOKENIZER, BaseModelProfile
from trainer.base_models.config import BaseModelSource, resolve_local_model
from trainer.base_models.model_files import hash_model, list_model_files
from trainer.families.registry import get_family, get_family_class
from trainer.families.stable_diffusion.adapter import UNET_TARGETS
from trainer.families.stable_diffusion.clip_text import VOCABULARY
from trainer.families.stable_diffusion.stable_diffusion import RESOLUTIONS
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.families.text.causal_lm import CausalLM
from trainer.profiles.image_profile import describe_image_model
from trainer.profiles.local_profile import CATALOGUE_NAMES
from trainer.profiles.text_folder import profile_text_folder


def describe_model(model: Path, name: str) -> ModelDescription:
    """Describe a model folder, `.gguf` or `.safetensors` file as this trainer would train it.

    A name of the catalogue keeps its aliases and licence; shapes and costs are those of the files.
    Raises: BadInput; ValueError and others, where transformers or diffusers cannot build it.
    """
    source = resolve_local_model(str(model))
    files = list_model_files(source.weights)
    described = _describe_text(source, name) if get_family(source).is_text else _describe_pictures(source.weights, name)
    known = find_base_model(name)
    told = {"name": name, "bytes_per_parameter": 2, "weights_sha256": hash_model(files)}
    if known is not None and known.name == name:
        told |= {"aliases": known.aliases, "licence": known.licence}
    return described.model_copy(
        update={
            "profile": described.profile.model_copy(update=told),
            "files": tuple(files.names),
            "size_bytes": files.size_bytes,
        }
    )


def _describe_text(source: BaseModelSource, name: str) -> ModelDescription:
    family = cast("type[CausalLM]", get_family_class(source))
    folder = family.prepare_weights(source) if source.is_gguf else source.weights
    read = family.read_tokenizer(source, folder)
    tokenizer = read.tokenizer.to_str()
    digest = hashlib.sha256(tokenizer.encode()).hexdigest()
    told = {"tokenizer": f"{ADDED_TOKENIZER}{digest}", "text_format": read.text_format}
    profile = profile_text_folder(folder, name).model_copy(update=told)
    return ModelDescription(profile=profile, tokenizer=tokenizer, files=(folder.name,), size_bytes=0)


def _describe_pictures(weights: Path, name: str) -> ModelDescription:
    """Describe a Stable Diffusion: with the published UNet it costs what the catalogue's does."""
    base = BaseWeights.open(weights)
    if base.has_published_unet:
        told = {"aliases": (), "licence": "unknown", "source": f"files of {weights.name}, of the published shape"}
        profile = get_base_model(CATALOGUE_NAMES[base.kind]).model_copy(update=told)
    else:
        profile = BaseModelProfile(
            name=name,
            family="stable_diffusion",
            licence="unknown",
            bytes_per_parameter=2,
            resolution=RESOLUTIONS[base.kind],
            default_target_modules=UNET_TARGETS,
            tokenizer=VOCABULARY,
            source=f"configurations of {weights.name}",
            **describe_image_model(base.configs, "stable_diffusion", UNET_TARGETS),
        )
    return ModelDescription(profile=profile, files=(weights.name,), size_bytes=0)
