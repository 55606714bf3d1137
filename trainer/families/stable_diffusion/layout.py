"""The key layout of original Stable Diffusion files (`v1-5-pruned.safetensors`), and what diffusers calls the same.

One map serves for reading and for writing: from the name that a weight has in a diffusers component to the key in the
original file. Source: the layouts of CompVis/latent-diffusion, Stability-AI/generative-models and open_clip.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

COMPONENTS = {"sd15": ("unet", "vae", "text_encoder"), "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2")}
UNET_PREFIX, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."
CLIP_PREFIXES = {"sd15": "cond_stage_model.transformer.", "sdxl": "conditioner.embedders.0.transformer."}
OPEN_CLIP_PREFIX = "conditioner.embedders.1.model."

RESNET_PARTS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
VAE_PARTS = {
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "downsamplers.0.conv": "downsample.conv",
    "upsamplers.0.conv": "upsample.conv",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
OPEN_CLIP_PARTS = {
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.final_layer_norm": "ln_final",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)")


def name_unet_key(name: str, config: Mapping[str, Any]) -> str:
    """Name the original key of a UNet weight; `config` is the UNet's, which says which levels have attention."""
    match = BLOCK.fullmatch(name)
    if match is None:
        head = next(head for head in UNET_ENDS if name.startswith(f"{head}."))
        return UNET_PREFIX + UNET_ENDS[head] + _name_resnet_part(name.removeprefix(head))
    side, level, kind, index, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    blocks = config["layers_per_block"] + 1
    if kind == "downsamplers":
        return f"{UNET_PREFIX}input_blocks.{blocks * (level + 1)}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        place = 2 if "CrossAttn" in config["up_block_types"][level] else 1
        return f"{UNET_PREFIX}output_blocks.{blocks * level + blocks - 1}.{place}.{rest}"
    block = (
        f"input_blocks.{blocks * level + index + 1}" if side == "down" else f"output_blocks.{blocks * level + index}"
    )
    place = 0 if kind == "resnets" else 1
    return f"{UNET_PREFIX}{block}.{place}" + _name_resnet_part(f".{rest}")


def _name_resnet_part(rest: str) -> str:
    part = rest.split(".")[1]
    return rest.replace(f".{part}.", f".{RESNET_PARTS[part]}.", 1) if part in RESNET_PARTS else rest


def name_vae_key(name: str, config: Mapping[str, Any]) -> str:
    """Name the original key of a VAE weight: the decoder's levels count from the other end there."""
    last = len(config["block_out_channels"]) - 1
    key = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
    key = re.sub(r"down_blocks\.(\d+)", r"down.\1", key)
    key = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{last - int(m[1])}.block.{m[2]}", key)
    key = re.sub(r"up_blocks\.(\d+)", lambda m: f"up.{last - int(m[1])}", key)
    for part, original in VAE_PARTS.items():
        key = re.sub(rf"(?<![\w]){re.escape(part)}(?=\.)", original, key)
    return VAE_PREFIX + key


def name_open_clip_key(name: str) -> str:
    """Name the original key of a weight of SDXL's second text encoder, but for the layers that are fused there."""
    if name == "text_projection.weight":
        return OPEN_CLIP_PREFIX + "text_projection"
    if name == "text_model.embeddings.position_embedding.weight":
        return OPEN_CLIP_PREFIX + "positional_embedding"
    key = name.replace("text_model.encoder.layers", "transformer.resblocks")
    for part, original in OPEN_CLIP_PARTS.items():
        key = key.replace(f"{part}.", f"{original}.")
    return OPEN_CLIP_PREFIX + key


def with_text_model(name: str) -> str:
    """Complete a CLIP name as every file has it: some releases of transformers lack the outermost `text_model.`."""
    return name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}"


def to_original_layout(kind: str, components: Mapping[str, torch.nn.Module]) -> dict[str, torch.Tensor]:
    """Return all weights of the components under their original keys."""
    tensors: dict[str, torch.Tensor] = {}
    unet_config, vae_config = dict(components["unet"].config), dict(components["vae"].config)  # type: ignore[arg-type]
    for name, tensor in components["unet"].state_dict().items():
        tensors[name_unet_key(name, unet_config)] = tensor
    for name, tensor in components["vae"].state_dict().items():
        key = name_vae_key(name, vae_config)
        tensors[key] = tensor[:, :, None, None] if is_vae_convolution(key, tensor.dim() + 2) else tensor
    for name, tensor in components["text_encoder"].state_dict().items():
        tensors[CLIP_PREFIXES[kind] + with_text_model(name)] = tensor
    if kind == "sdxl":
        tensors |= _fuse_open_clip(components["text_encoder_2"].state_dict())
    return {key: tensor.contiguous().clone() for key, tensor in tensors.items()}


def is_vae_convolution(key: str, original_dimensions: int) -> bool:
    """Tell whether a weight is a 1×1 convolution in the original, where diffusers has a linear layer: the VAE's
    attention.
    """
    return ".mid.attn_1." in key and ".norm." not in key and key.endswith(".weight") and original_dimensions == 4


def _fuse_open_clip(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, tensor in state.items():
        if ".self_attn.q_proj." in name:
            whole = [state[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            layer, kind = name.split(".self_attn.q_proj.")
            tensors[name_open_clip_key(f"{layer}.attn.in_proj_{kind}")] = torch.cat(whole)
        elif ".self_attn.k_proj." not in name and ".self_attn.v_proj." not in name:
            key = name_open_clip_key(name)
            tensors[key] = tensor.T if name == "text_projection.weight" else tensor
    return tensors
