"""Profiles with the table of what a step of ours needs in memory."""

from pathlib import Path

from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import describe_method
from pricing.training.config import TrainingConfig
from trainer.base_models.config import resolve_local_model
from trainer.families.registry import get_family, get_family_class
from trainer.families.stable_diffusion.configs import Config, Kind, get_config
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.profiles.catalogue import CatalogueEntry
from trainer.profiles.text_folder import read_folder_config
from trainer.profiles.text_network import read_text_config
from trainer.tracing.memory_table import trace_pictures, trace_text


def trace_model(profile: BaseModelProfile, model: Path) -> BaseModelProfile:
    """Trace a model folder or file of Stable Diffusion; the profile is the one that it has. Takes minutes.

    Raises: BadInput; ValueError and others, where transformers or diffusers cannot build it.
    """
    source = resolve_local_model(str(model))
    family = get_family(source)
    if not family.is_text:
        base = BaseWeights.open(source.weights)
        return _with_pictures(profile, base.kind, dict(base.configs["unet"]))
    network = read_folder_config(get_family_class(source).prepare_weights(source) if source.is_gguf else source.weights)
    traced = trace_text(network, profile.default_target_modules, longest=profile.context_length)
    return profile.model_copy(update={"traced": traced})


def trace_entry(profile: BaseModelProfile, entry: CatalogueEntry) -> BaseModelProfile:
    """Trace a model of the catalogue that can be quoted; no job of ours trains the others, whose memory is summed."""
    if profile.tokenizer is None:
        return profile
    if entry.shipped_components is not None:
        unet = get_config(entry.shipped_components, "unet")
        return _with_pictures(profile, entry.shipped_components, unet)
    if entry.config is None or entry.names:
        return profile
    network = read_text_config(entry.config)
    traced = trace_text(network, profile.default_target_modules, longest=profile.context_length)
    return profile.model_copy(update={"traced": traced})


def _with_pictures(profile: BaseModelProfile, kind: Kind, unet: Config) -> BaseModelProfile:
    method = describe_method(profile, TrainingConfig(base_model=profile.name), "bf16", checkpointing=False)
    traced = trace_pictures(kind, unet, profile.default_target_modules, adapts_all=method.adapts_all)
    return profile.model_copy(update={"traced": traced})
