"""The text encoders of Stable Diffusion: captions to what the UNet attends to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainer.families.stable_diffusion.clip_text import END, Caption
from trainer.families.stable_diffusion.configs import Kind

PADS = {"text_encoder": END, "text_encoder_2": 0}  # SDXL's second tokenizer pads with `!`
SDXL_LAYER = -2


@dataclass(frozen=True)
class TextEmbedding:
    """hidden [n, 77, width]; pooled [n, width of the second encoder], empty for SD 1.5."""

    hidden: torch.Tensor
    pooled: torch.Tensor


def embed_captions(
    kind: Kind, encoders: Mapping[str, torch.nn.Module], captions: Sequence[Caption], *, clip_skip: int, device: Any
) -> TextEmbedding:
    """Read the captions with all text encoders of the model, as diffusers' pipelines do."""
    hidden, pooled = [], torch.empty(len(captions), 0, device=device)
    for name, encoder in encoders.items():
        ids = torch.tensor([caption.padded(PADS[name]) for caption in captions], device=device)
        read = encoder(input_ids=ids, output_hidden_states=True)
        hidden.append(read.hidden_states[SDXL_LAYER] if kind == "sdxl" else _pick_layer(encoder, read, clip_skip))
        if name == "text_encoder_2":
            pooled = read.text_embeds
    return TextEmbedding(torch.cat(hidden, dim=-1), pooled)


def _pick_layer(encoder: torch.nn.Module, read: Any, clip_skip: int) -> torch.Tensor:
    """Pick the last layer, or one before it, through the final norm that the UNet was trained with."""
    if clip_skip == 1:
        return read.last_hidden_state
    if clip_skip >= len(read.hidden_states):
        clip_skip = len(read.hidden_states) - 1
    norm = next(module for name, module in encoder.named_modules() if name.endswith("final_layer_norm"))
    return norm(read.hidden_states[-clip_skip])
