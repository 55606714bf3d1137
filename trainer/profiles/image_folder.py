"""The profile of an image model in a diffusers folder, from the config.json of each component."""

import json
from pathlib import Path
from typing import Any

from pricing.catalog.profile import BaseModelProfile, Family
from trainer.errors import BadInput
from trainer.families.stable_diffusion.adapter import UNET_TARGETS
from trainer.profiles.image_network import RUNS
from trainer.profiles.image_profile import TEXT_ENCODERS, TRAINED, VAE, describe_image_model


def profile_image_folder(folder: Path, name: str) -> BaseModelProfile:
    """Profile a diffusers folder. Raises: BadInput, for a component that is missing or of another architecture."""
    components = {name: _read(folder / name) for name in (*TRAINED, VAE, *TEXT_ENCODERS) if (folder / name).is_dir()}
    trained = next((name for name in TRAINED if name in components), None)
    if trained is None or VAE not in components or TEXT_ENCODERS[0] not in components:
        raise BadInput("model", "needs unet or transformer, vae and text_encoder, each with its config.json")
    kind = components[trained].get("_class_name")
    if kind not in RUNS:
        raise BadInput("model", f"its {trained} is a {kind}; profiles are made of {', '.join(RUNS)}")
    family: Family = "stable_diffusion" if trained == "unet" else "flux"
    return BaseModelProfile(
        name=name,
        family=family,
        licence="unknown",
        bytes_per_parameter=2,
        default_target_modules=UNET_TARGETS,
        source=f"configurations of the folder {folder.name}",
        **describe_image_model(components, family, UNET_TARGETS),
    )


def _read(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput("model", f"{folder.name}/config.json cannot be read ({error}); copy it there again") from error
    return config
