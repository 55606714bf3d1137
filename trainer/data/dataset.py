"""Reading the data set of a configuration: pictures for Stable Diffusion, text for every other base model."""

from typing import TYPE_CHECKING

from pricing.estimate.text_rows import ParsedRows
from pricing.estimate.training_config import TrainingConfig
from trainer.config import BaseModelSource
from trainer.data.text import read_text_dataset
from trainer.errors import BadInput

if TYPE_CHECKING:
    from trainer.data.image_dataset import ImageDataset

OF_IMAGES = frozenset(
    {
        "skip_bad_rows",
        "default_caption",
        "resolution",
        "aspect_buckets",
        "flip",
        "caption_dropout",
        "noise_offset",
        "min_snr_gamma",
        "prediction_type",
        "train_text_encoder",
        "reg_data_dir",
        "prior_loss_weight",
        "clip_skip",
    }
)
OF_TEXT = frozenset({"max_length", "packing", "quantization"})


def read_dataset(config: TrainingConfig, source: BaseModelSource) -> "ParsedRows | ImageDataset":
    """Raises: BadInput, also for a key that this base model's family does not know."""
    foreign = OF_TEXT if source.is_stable_diffusion else OF_IMAGES
    for key in sorted(foreign & config.model_fields_set):
        if getattr(config, key) != type(config).model_fields[key].default:
            kind = "an image" if source.is_stable_diffusion else "a text"
            raise BadInput(key, f"has no meaning for {source.name}, which is {kind} model; leave it out")
    if not source.is_stable_diffusion:
        return read_text_dataset(config)
    from trainer.data.image_dataset import read_image_dataset  # noqa: PLC0415 - brings Pillow and numpy

    return read_image_dataset(config)
