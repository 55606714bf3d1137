"""In which numbers the frozen base is kept: precision and quantization, and what of them this machine can do."""

import importlib.util
from typing import Any

import torch

from pricing.catalog.gpu import Precision
from pricing.training.config import TrainingConfig
from trainer.base_models.transformers_quiet import transformers
from trainer.errors import BadInput


def choose_auto_precision() -> Precision:
    """Choose what `precision: auto` stands for on this machine: bf16, on an older GPU fp16 with a scaled loss.

    A GPU that only emulates bf16 has none.
    """
    if not torch.cuda.is_available():
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def choose_dtype(config: TrainingConfig | None, device: torch.device) -> torch.dtype:
    """Choose the number format of the base; the adapter itself is always fp32. Raises: BadInput."""
    precision = config.precision if config is not None else "fp32"
    if precision == "auto":
        precision = choose_auto_precision() if device.type == "cuda" else "fp32"
    if precision == "fp16" and device.type != "cuda":
        raise BadInput("precision", "fp16 needs a GPU; set precision: bf16, which halves the memory too, or fp32")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def describe_quantization(config: TrainingConfig | None, dtype: torch.dtype) -> Any | None:
    """Describe to transformers how to load the base in 8 or 4 bit; None where it is not quantized. Raises: BadInput."""
    if config is None or config.quantization == "none":
        return None
    if not torch.cuda.is_available():
        raise BadInput("quantization", f"{config.quantization} needs a GPU, and there is none; set quantization: none")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput("quantization", "bitsandbytes is not installed; run `pip install bitsandbytes`")
    if config.quantization == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
