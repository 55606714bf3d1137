"""LoRAs of the true layer names of SD 1.5, SDXL and LLaMA, drawn by Hypothesis, with tiny matrices."""

import torch
from hypothesis import strategies as st

from trainer.formats.lora_set import (
    LANGUAGE_MODEL,
    TEXT_ENCODER,
    TEXT_ENCODER_2,
    UNET,
    LoraLayer,
    LoraSet,
    derive_config,
)

IN_ATTENTION = [
    *(f"attn{n}.{projection}" for n in (1, 2) for projection in ("to_q", "to_k", "to_v", "to_out.0")),
    "ff.net.0.proj",
    "ff.net.2",
]
IN_RESNET = ["conv1", "conv2", "time_emb_proj", "conv_shortcut"]


def list_sd15_unet() -> list[str]:
    down = [f"down_blocks.{level}.attentions.{layer}" for level in range(3) for layer in range(2)]
    up = [f"up_blocks.{level}.attentions.{layer}" for level in range(1, 4) for layer in range(3)]
    names = [name for block in [*down, "mid_block.attentions.0", *up] for name in _in_transformer(block, 1)]
    resnets = [f"down_blocks.{level}.resnets.{layer}" for level in range(4) for layer in range(2)]
    names += [f"{block}.{inner}" for block in resnets for inner in IN_RESNET]
    return [*names, "conv_in", "conv_out", "down_blocks.0.downsamplers.0.conv", "up_blocks.1.upsamplers.0.conv"]


def list_sdxl_unet() -> list[str]:
    depth = {"down_blocks.1": 2, "down_blocks.2": 10, "up_blocks.0": 10, "up_blocks.1": 2}
    names = _in_transformer("mid_block.attentions.0", 10)
    for block, blocks in depth.items():
        for layer in range(3 if block.startswith("up") else 2):
            names += _in_transformer(f"{block}.attentions.{layer}", blocks)
            names += [f"{block}.resnets.{layer}.{inner}" for inner in IN_RESNET]
    return [
        *names,
        "conv_in",
        "add_embedding.linear_2",
        "down_blocks.1.downsamplers.0.conv",
        "mid_block.resnets.1.conv1",
    ]


def _in_transformer(block: str, depth: int) -> list[str]:
    inner = [f"{block}.transformer_blocks.{n}.{name}" for n in range(depth) for name in IN_ATTENTION]
    return [f"{block}.proj_in", *inner, f"{block}.proj_out"]


def list_clip(layers: int, prefix: str = "") -> list[str]:
    inner = [f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")] + ["mlp.fc1", "mlp.fc2"]
    return [f"{prefix}encoder.layers.{n}.{name}" for n in range(layers) for name in inner]


def list_llama(layers: int) -> list[str]:
    inner = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ("gate", "up", "down")]
    return [f"model.layers.{n}.{name}" for n in range(layers) for name in inner]


MODELS = {
    "sd15": [(UNET, name) for name in list_sd15_unet()] + [(TEXT_ENCODER, name) for name in list_clip(12)],
    "sdxl": [
        *((UNET, name) for name in list_sdxl_unet()),
        *((TEXT_ENCODER, name) for name in list_clip(12)),
        *((TEXT_ENCODER_2, name) for name in list_clip(32, "text_model.")),
    ],
    "llama": [(LANGUAGE_MODEL, name) for name in list_llama(32)],
}


@st.composite
def draw_layers(draw: st.DrawFn, model: str, *, dora: bool = False) -> list[LoraLayer]:
    """Draw some layers of a model, each with a rank, an alpha and random matrices of its own."""
    names = draw(st.lists(st.sampled_from(MODELS[model]), min_size=1, max_size=6, unique=True))
    if model == "sdxl" and all(component == TEXT_ENCODER for component, _ in names):
        names.append((TEXT_ENCODER_2, "text_model.encoder.layers.0.mlp.fc1"))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return [draw_layer(draw, component, path, generator, dora=dora) for component, path in names]


def draw_layer(draw: st.DrawFn, component: str, path: str, generator: torch.Generator, *, dora: bool) -> LoraLayer:
    rank, alpha = draw(st.integers(1, 4)), draw(st.sampled_from([1.0, 4.0, 8.0, 0.5]))
    kernel = (3, 3) if "conv" in path else ()
    down = torch.randn(rank, 6, *kernel, generator=generator)
    up = torch.randn(5, rank, *(1 for _ in kernel), generator=generator)
    return LoraLayer(component, path, down, up, alpha, torch.rand(5, generator=generator) if dora else None)


def make_lora(layers: list[LoraLayer]) -> LoraSet:
    return LoraSet(layers, derive_config(layers), {"base_model": "some"})
