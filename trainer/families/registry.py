"""The families that there are, and what is known of each before its code, and with it torch, is imported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pricing.training.config import TrainingConfig
from pricing.training.family_keys import find_foreign_keys
from trainer.base_models.config import BaseModelSource
from trainer.base_models.model_type import is_chatglm
from trainer.data.dataset import Dataset
from trainer.data.text import read_text_dataset
from trainer.errors import BadInput

if TYPE_CHECKING:
    from trainer.families.family import Family  # brings torch


@dataclass(frozen=True)
class FamilyEntry:
    """One family. `is_text` is False where it learns pictures.

    `has_catalogue_names` is False where the catalogue names its layers otherwise than this trainer does, so that the
    catalogue's profile cannot say what a training of them needs.
    """

    recognises: Callable[[BaseModelSource], bool]
    import_class: "Callable[[], type[Family[Any]]]"
    read_rows: Callable[[TrainingConfig], Dataset]
    is_text: bool = True
    has_catalogue_names: bool = True


def _read_pictures(config: TrainingConfig) -> Dataset:
    from trainer.data.image_dataset import read_image_dataset  # noqa: PLC0415 - brings Pillow and numpy

    return read_image_dataset(config)


def _import_stable_diffusion() -> "type[Family[Any]]":
    from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion  # noqa: PLC0415 - brings diffusers

    return StableDiffusion


def _import_chatglm() -> "type[Family[Any]]":
    from trainer.families.chatglm.chatglm import ChatGLM  # noqa: PLC0415 - brings transformers

    return ChatGLM


def _import_causal_lm() -> "type[Family[Any]]":
    from trainer.families.text.causal_lm import CausalLM  # noqa: PLC0415 - brings transformers

    return CausalLM


# The first that recognises a base model has it; the last takes what is left.
FAMILIES = (
    FamilyEntry(lambda source: source.is_stable_diffusion, _import_stable_diffusion, _read_pictures, is_text=False),
    FamilyEntry(
        lambda source: is_chatglm(source.weights), _import_chatglm, read_text_dataset, has_catalogue_names=False
    ),
    FamilyEntry(lambda _: True, _import_causal_lm, read_text_dataset),
)


def get_family(source: BaseModelSource) -> FamilyEntry:
    """Return the family that a base model belongs to, told by the files of the model alone."""
    return next(family for family in FAMILIES if family.recognises(source))


def get_family_class(source: BaseModelSource) -> "type[Family[Any]]":
    """Return the class that loads this base model; its module, and what that brings, is imported now."""
    return get_family(source).import_class()


def read_dataset(config: TrainingConfig, source: BaseModelSource) -> Dataset:
    """Read what this base model is to learn: pictures, or rows of text.

    Raises: BadInput, also for a key that the base model's family has no use for.
    """
    family = get_family(source)
    for key, reason in find_foreign_keys(config, source.name, is_text=family.is_text).items():
        raise BadInput(key, reason)
    return family.read_rows(config)
