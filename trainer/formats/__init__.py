"""The layouts of a LoRA file: peft, kohya (sd-scripts, WebUI) and diffusers, each read and written."""

from trainer.formats.reading import load_adapter_any

__all__ = ["load_adapter_any"]
