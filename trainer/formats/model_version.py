"""Which Stable Diffusion a LoRA belongs to."""

from trainer.formats.lora_set import LANGUAGE_MODEL, TEXT_ENCODER_2, UNET, LoraLayer, LoraSet

SDXL_CONTEXT, SD2_CONTEXT, REFINER_CONTEXT = 2048, 1024, 1280  # widths of the text that cross-attention reads


def is_sdxl(lora: LoraSet) -> bool:
    """Tell by the header, or by what only SDXL has: a second text encoder, text of width 2048, several blocks in an
    attention.
    """
    return lora.header.get("ss_base_model_version", "").startswith("sdxl") or any(
        layer.component == TEXT_ENCODER_2
        or (layer.component == UNET and (_has_several_blocks(layer.path) or find_context_width(layer) == SDXL_CONTEXT))
        for layer in lora.layers
    )


def find_base_version(lora: LoraSet) -> str | None:
    """Find the value of sd-scripts' `ss_base_model_version`; None for a language model."""
    if all(layer.component == LANGUAGE_MODEL for layer in lora.layers):
        return None
    if is_sdxl(lora):
        return "sdxl_base_v1-0"
    return "sd_v2" if any(find_context_width(layer) == SD2_CONTEXT for layer in lora.layers) else "sd_v1"


def _has_several_blocks(path: str) -> bool:
    block = path.partition("transformer_blocks.")[2].partition(".")[0]
    return block.isdigit() and int(block) > 0


def find_context_width(layer: LoraLayer) -> int | None:
    """Find the width of the text that this layer reads; None where it reads none."""
    reads_text = layer.component == UNET and layer.path.endswith(("attn2.to_k", "attn2.to_v"))
    return layer.down.shape[1] if reads_text else None
