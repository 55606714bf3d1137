"""LoRA training: alone on a desk (`trainer train`) and as the broker's worker (`trainer run`)."""

__version__ = "0.1.0"
