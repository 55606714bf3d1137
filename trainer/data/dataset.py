"""Reading the data set of a configuration: pictures for Stable Diffusion, text for every other base model."""

from typing import TYPE_CHECKING

from pricing.datasets.text_rows import ParsedRows
from pricing.training.config import TrainingConfig
from pricing.training.family_keys import find_foreign_keys
from trainer.base_models.config import BaseModelSource
from trainer.data.text import read_text_dataset
from trainer.errors import BadInput

if TYPE_CHECKING:
    from trainer.data.image_dataset import ImageDataset


def read_dataset(config: TrainingConfig, source: BaseModelSource) -> "ParsedRows | ImageDataset":
    """Raises: BadInput, also for a key that this base model's family does not know."""
    for key, reason in find_foreign_keys(config, source.name, is_text=not source.is_stable_diffusion).items():
        raise BadInput(key, reason)
    if not source.is_stable_diffusion:
        return read_text_dataset(config)
    from trainer.data.image_dataset import read_image_dataset  # noqa: PLC0415 - brings Pillow and numpy

    return read_image_dataset(config)
