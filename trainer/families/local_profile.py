"""The profile of a model that the catalogue does not know, read off its architecture without loading a weight."""

from functools import lru_cache
from pathlib import Path

from pricing.catalog.profile import BaseModelProfile
from trainer.config import BaseModelSource
from trainer.errors import BadInput
from trainer.profiles.text_folder import profile_text_folder
from trainer.profiles.text_network import SIZES


def find_profile(source: BaseModelSource) -> BaseModelProfile | None:
    """The catalogue's profile; for a folder one made on the meta device; None where transformers cannot build it."""
    if source.profile is not None or not (source.weights / "config.json").is_file():
        return source.profile
    return _profile_folder(source.weights, source.name)


@lru_cache(maxsize=4)
def _profile_folder(folder: Path, name: str) -> BaseModelProfile | None:
    try:
        return profile_text_folder(folder, name, sizes=SIZES[:3])  # training waits for it: no check
    except (AttributeError, BadInput, KeyError, OSError, RuntimeError, TypeError, ValueError):
        return None  # an estimate is a help; training does without
