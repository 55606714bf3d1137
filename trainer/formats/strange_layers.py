"""Layers that are of no model that this trainer knows: told by their paths, once these are read."""

import re

from trainer.errors import AdapterUnusable
from trainer.formats.lora_set import LANGUAGE_MODEL, TEXT_ENCODER, TEXT_ENCODER_2, UNET, LoraSet
from trainer.formats.model_version import REFINER_CONTEXT, find_context_width

TEXT_LAYERS = r"(text_model\.)?(encoder\.layers\.\d+\..+|embeddings\..+|final_layer_norm)|text_projection"
KNOWN = {
    UNET: re.compile(
        r"(down_blocks|up_blocks)\.\d+\.(attentions|resnets|downsamplers|upsamplers)\.\d+\..+"
        r"|mid_block\.(attentions|resnets)\.\d+\..+|(time_embedding|add_embedding)\.linear_[12]|conv_in|conv_out"
    ),
    TEXT_ENCODER: re.compile(TEXT_LAYERS),
    TEXT_ENCODER_2: re.compile(TEXT_LAYERS),
}
OF_DIFFUSION = re.compile(r"(^|[._])(to_[qkv]|attn[12])([._]|$)")


def refuse_strange_layers(place: object, lora: LoraSet) -> None:
    """Refuse layers that neither Stable Diffusion 1.5, 2 or XL nor a language model has. Raises: AdapterUnusable."""
    for layer in lora.layers:
        known = KNOWN.get(layer.component)
        if known is not None and not known.fullmatch(layer.path):
            raise AdapterUnusable(
                f"{place} is of another model than Stable Diffusion 1.5, 2 or XL: their {layer.component} has no layer "
                f"{layer.path}"
            )
        if layer.component == LANGUAGE_MODEL and OF_DIFFUSION.search(layer.path):
            raise AdapterUnusable(f"{place} is of a diffusion model that cannot be used here: its layer {layer.path}")
        if layer.component == UNET and find_context_width(layer) == REFINER_CONTEXT:
            raise AdapterUnusable(f"{place} is of the SDXL refiner, which cannot be used here")
