"""LoRA files whose layers have the names of the original release, with dots: OneTrainer's ORIGINAL and COMFY.

`diffusion_model.input_blocks.4.1.proj_in.lora_A.weight` is a UNet's layer, `text_encoders.clip_l.transformer.…` a text
encoder's; ORIGINAL is a UNet alone, without the first word. They become the names of diffusers, with alpha and DoRA's
magnitude as they are. Source: OneTrainer 23df3832, `diffusers_to_original` of its two Stable Diffusion models; where
both have a block, SD 1.5, 2 and XL name it alike, but for the first upsampler.
"""

import re
from collections.abc import Mapping
from functools import cache

import torch

from trainer.formats.lora_set import TEXT_ENCODER, TEXT_ENCODER_2, UNET
from trainer.formats.sgm_names import OUTSIDE, RESNET, list_blocks, list_samplers

LEVELS = 4  # of SD 1.5 and 2; SDXL has the first three of them
BLOCK = re.compile(
    r"(?:(?:model\.)?diffusion_model\.)?(?P<path>(?:input_blocks|output_blocks|middle_block|out)\.\d.*"
    r"|(?:time_embed|label_emb)\.\d.*)"
)
ENCODERS = {"clip_l": TEXT_ENCODER, "clip_h": TEXT_ENCODER, "clip_g": TEXT_ENCODER_2}
ENCODER = re.compile(r"text_encoders\.(?P<encoder>clip_[lgh])\.transformer\.(?P<path>.+)")
PART = re.compile(r"(?P<path>.+?)(?P<part>\.(?:lora_(?:A|B|down|up)(?:\.weight)?|alpha|dora_scale))")


def rename_native(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under diffusers' names where all of them have those of the release; else as they are."""
    names = {key: _rename(key) for key in tensors}
    found = [name for name in names.values() if name is not None]
    if not found or len(set(found)) < len(tensors):
        return dict(tensors)
    return {str(names[key]): tensor for key, tensor in tensors.items()}


def _rename(key: str) -> str | None:
    split = PART.fullmatch(key)
    if split is None:
        return None
    if (encoder := ENCODER.fullmatch(split["path"])) is not None:
        return f"{ENCODERS[encoder['encoder']]}.{encoder['path']}{split['part']}"
    block = BLOCK.fullmatch(split["path"])
    path = None if block is None else _find_path(block["path"])
    return None if path is None else f"{UNET}.{path}{split['part']}"


def _find_path(native: str) -> str | None:
    whole, blocks, in_resnet = _load_names()
    if native in whole:
        return whole[native]
    parts = native.split(".")
    for length in (3, 2):
        block, rest = blocks.get(".".join(parts[:length])), ".".join(parts[length:])
        if block is not None and rest:
            return f"{block}.{in_resnet.get(rest, rest) if '.resnets.' in block else rest}"
    return None


@cache
def _load_names() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    whole = {native: path for path, native in (OUTSIDE | list_samplers(LEVELS)).items()}
    whole["output_blocks.2.1.conv"] = "up_blocks.0.upsamplers.0.conv"  # SD 1.5 and 2 have no attention before it
    blocks = {native: path for path, native in list_blocks(LEVELS).items()}
    return whole, blocks, {native: path for path, native in RESNET.items()}
