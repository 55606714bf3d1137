"""The profile of a model that the catalogue does not know, read off its architecture without loading a weight."""

import json
from functools import lru_cache
from pathlib import Path

from pricing.catalog import get_base_model
from pricing.catalog.profile import BaseModelProfile
from trainer.base_models.config import BaseModelSource
from trainer.errors import BadInput
from trainer.families.registry import get_family
from trainer.profiles.profile_cache import keep_profile
from trainer.profiles.text_folder import profile_text_folder
from trainer.profiles.text_network import SIZES

NOT_BUILT = (AttributeError, BadInput, KeyError, OSError, RuntimeError, TypeError, ValueError)
CATALOGUE_NAMES = {"sd15": "sd-1.5", "sdxl": "sdxl-1.0"}


def find_profile(source: BaseModelSource) -> BaseModelProfile | None:
    """Find the catalogue's profile, or measure other weights on the meta device; of Stable Diffusion only the memory.

    None where it cannot be built: an estimate is a help, training does without. A ChatGLM is always measured, because
    the catalogue has its modules under their original names.
    """
    family = get_family(source)
    if not family.is_text:
        return _profile_pictures(source.weights, source.name)
    if source.profile is not None and family.has_catalogue_names:
        return source.profile
    if not (source.weights / "config.json").is_file():
        return source.profile
    return _profile_folder(source.weights, source.name)


@lru_cache(maxsize=4)
def _profile_folder(folder: Path, name: str) -> BaseModelProfile | None:
    def measure() -> BaseModelProfile:
        return profile_text_folder(folder, name, sizes=SIZES[:3])  # training waits for it: no check

    try:
        facts = {"name": name, "config": json.loads((folder / "config.json").read_text(encoding="utf-8"))}
        return keep_profile(facts, measure)
    except NOT_BUILT:
        return None


@lru_cache(maxsize=4)
def _profile_pictures(weights: Path, name: str) -> BaseModelProfile | None:
    """Return the catalogue's where the UNet is the published one, else what the components at hand need."""
    from trainer.families.stable_diffusion.adapter import UNET_TARGETS  # noqa: PLC0415
    from trainer.families.stable_diffusion.stable_diffusion import RESOLUTIONS  # noqa: PLC0415 - brings diffusers
    from trainer.families.stable_diffusion.weights import BaseWeights  # noqa: PLC0415
    from trainer.profiles.image_memory import profile_image_memory  # noqa: PLC0415

    try:
        base = BaseWeights.open(weights)
        if base.has_published_unet:
            return get_base_model(CATALOGUE_NAMES[base.kind])
        facts = {"name": name, "kind": base.kind, "configs": dict(base.configs)}
        resolution = RESOLUTIONS[base.kind]
        return keep_profile(facts, lambda: profile_image_memory(base.configs, name, resolution, UNET_TARGETS))
    except NOT_BUILT:
        return None
