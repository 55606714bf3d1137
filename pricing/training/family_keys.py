"""Keys of the configuration that only pictures, or only text, have a use for."""

from pricing.training.config import TrainingConfig

OF_IMAGES = frozenset(
    {
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


def find_foreign_keys(config: TrainingConfig, base_model: str, *, is_text: bool) -> dict[str, str]:
    """Find keys that are set to more than their default though the base model has no use for them, each with why."""
    foreign, kind = (OF_IMAGES, "a text") if is_text else (OF_TEXT, "an image")
    return {
        key: f"has no meaning for {base_model}, which is {kind} model; leave it out"
        for key in sorted(foreign & config.model_fields_set)
        if getattr(config, key) != type(config).model_fields[key].default
    }
