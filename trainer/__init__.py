"""LoRA training: standalone, with no broker (`trainer train`), and as the broker's worker (`trainer run`)."""

__version__ = "0.1.0"
