"""Small random ChatGLM2/3 and GLM-4 folders in the original layout, and what their published formulas compute."""

import math
from pathlib import Path

import torch

from trainer.commands import make_tiny_chatglm
from trainer.commands.make_tiny_chatglm import CONFIG, SPECIAL, draw_tensors

__all__ = ["CONFIG", "SPECIAL", "compute_logits", "draw_tensors", "write_folder"]


def write_folder(folder: Path, config: dict, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """Write the folder as it is released, with code in it that must not be run."""
    make_tiny_chatglm.write_folder(folder, config, tensors)
    (folder / "modeling_chatglm.py").write_text("raise SystemExit('remote code was run')")
    (folder / "tokenization_chatglm.py").write_text("raise SystemExit('remote code was run')")
    return folder


def compute_logits(tensors: dict[str, torch.Tensor], config: dict, ids: torch.Tensor) -> torch.Tensor:
    """Compute the published formulas for one row of token ids: a loop over heads and positions, nothing shared with
    ours.
    """
    states = tensors["transformer.embedding.word_embeddings.weight"][ids]
    for number in range(config["num_layers"]):
        layer = {
            name.removeprefix(f"transformer.encoder.layers.{number}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"transformer.encoder.layers.{number}.")
        }
        states = states + attend(normalize(states, layer["input_layernorm.weight"], config), layer, config)
        inner = (
            normalize(states, layer["post_attention_layernorm.weight"], config) @ layer["mlp.dense_h_to_4h.weight"].T
        )
        gate, up = inner[:, : config["ffn_hidden_size"]], inner[:, config["ffn_hidden_size"] :]
        states = states + (gate * torch.sigmoid(gate) * up) @ layer["mlp.dense_4h_to_h.weight"].T
    final = normalize(states, tensors["transformer.encoder.final_layernorm.weight"], config)
    return final @ tensors["transformer.output_layer.weight"].T


def normalize(states: torch.Tensor, weight: torch.Tensor, config: dict) -> torch.Tensor:
    return weight * states / (states.pow(2).mean(-1, keepdim=True) + config["layernorm_epsilon"]).sqrt()


def attend(states: torch.Tensor, layer: dict[str, torch.Tensor], config: dict) -> torch.Tensor:
    heads, groups, width = config["num_attention_heads"], config["multi_query_group_num"], config["kv_channels"]
    fused = states @ layer["self_attention.query_key_value.weight"].T
    fused = fused + layer.get("self_attention.query_key_value.bias", torch.zeros(1))
    attended = []
    for head in range(heads):
        group = head // (heads // groups)
        query = fused[:, head * width : (head + 1) * width]
        key = fused[:, (heads + group) * width : (heads + group + 1) * width]
        value = fused[:, (heads + groups + group) * width : (heads + groups + group + 1) * width]
        scores = rotate(query, config) @ rotate(key, config).T / math.sqrt(width)
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
        attended.append(scores.softmax(-1) @ value)
    return torch.cat(attended, dim=1) @ layer["self_attention.dense.weight"].T


def rotate(states: torch.Tensor, config: dict) -> torch.Tensor:
    """Only the first half of a head turns, in pairs (0, 1), (2, 3) …, as complex numbers."""
    turning = config["kv_channels"] // 2
    ratio, is_second = config.get("rope_ratio", 1), "chatglm2" in config.get("_name_or_path", "")
    base, stretch = (10_000, ratio) if is_second else (10_000 * ratio, 1)
    speeds = torch.tensor([base ** (-index / turning) for index in range(0, turning, 2)])
    angles = torch.arange(len(states))[:, None] / stretch * speeds
    pairs = torch.view_as_complex(states[:, :turning].reshape(len(states), -1, 2).contiguous())
    turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(1)
    return torch.cat([turned, states[:, turning:]], dim=1)
