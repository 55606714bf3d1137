"""ChatGLM2, ChatGLM3 and GLM-4 in their original layout, mapped onto the Glm classes of transformers.

Their architecture is that of `GlmForCausalLM`; only names differ, and the three attention projections lie in one.
Source: the published `config.json` and weight index of chatglm2-6b, chatglm3-6b and glm-4-9b.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from trainer.errors import BadInput

ROPE_BASE = 10_000.0
ROTARY_SHARE = 0.5  # rotary embedding turns the first half of a head, in pairs of neighbours
# What these models could have by their configuration, and no release of them has.
REQUIRED = {
    "rmsnorm": True,
    "post_layer_norm": True,
    "multi_query_attention": True,
    "add_bias_linear": False,
    "apply_residual_connection_post_layernorm": False,
}
OUTSIDE = {
    "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "transformer.encoder.final_layernorm.weight": "model.norm.weight",
    "transformer.output_layer.weight": "lm_head.weight",
}
LAYER, GLM_LAYER = "transformer.encoder.layers.", "model.layers."
IN_LAYER = {
    "input_layernorm.weight": "input_layernorm.weight",
    "post_attention_layernorm.weight": "post_attention_layernorm.weight",
    "self_attention.dense.weight": "self_attn.o_proj.weight",
    "mlp.dense_h_to_4h.weight": "mlp.gate_up_proj.weight",  # both hold the gate first
    "mlp.dense_4h_to_h.weight": "mlp.down_proj.weight",
}
FUSED = "self_attention.query_key_value."
BUFFER = "transformer.rotary_pos_emb.inv_freq"  # computed, not learnt


def read_original_config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises: BadInput, for a generation or a quantization whose weights are others."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "padded_vocab_size" not in config:
        raise BadInput(
            "base_model",
            f"{folder} is the first ChatGLM-6B, whose architecture is another; take chatglm2-6b or later",
        )
    if config.get("quantization_bit") or config.get("pre_seq_len"):
        raise BadInput(
            "base_model",
            f"{folder} holds int4/int8 weights or a P-tuning prefix; take the plain weights of the same model, and "
            "quantization: 4bit where memory is short",
        )
    unlike = [key for key, value in REQUIRED.items() if config.get(key, value) != value]
    if unlike:
        raise BadInput("base_model", f"{folder} is no ChatGLM2, ChatGLM3 or GLM-4: {', '.join(unlike)} differs")
    return config


def map_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Map an original configuration to the arguments of `GlmConfig`."""
    return {
        "vocab_size": config["padded_vocab_size"],
        "hidden_size": config["hidden_size"],
        "intermediate_size": config["ffn_hidden_size"],
        "num_hidden_layers": config["num_layers"],
        "num_attention_heads": config["num_attention_heads"],
        "num_key_value_heads": config["multi_query_group_num"],
        "head_dim": config["kv_channels"],
        "max_position_embeddings": config["seq_length"],
        "rms_norm_eps": config["layernorm_epsilon"],
        "attention_bias": bool(config.get("add_qkv_bias", True)),
        "tie_word_embeddings": bool(config.get("tie_word_embeddings", False)),
        "pad_token_id": config.get("pad_token_id", 0),
        "eos_token_id": config.get("eos_token_id", 2),
        "rope_parameters": _map_rope(config),
    }


def _map_rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Map `rope_ratio`: it stretches the base in ChatGLM3 and GLM-4, and the positions in chatglm2-6b-32k."""
    ratio = float(config.get("rope_ratio") or 1)
    if ratio != 1 and "chatglm2" in str(config.get("_name_or_path", "")).lower():
        shape: dict[str, Any] = {"rope_type": "linear", "factor": ratio, "rope_theta": ROPE_BASE}
    else:
        shape = {"rope_type": "default", "rope_theta": ROPE_BASE * ratio}
    return {**shape, "partial_rotary_factor": ROTARY_SHARE}


def map_tensors(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors under the names of `GlmForCausalLM`, the fused attention projection cut in three.

    Raises: BadInput, for a name that is not of this architecture.
    """
    for name, tensor in tensors.items():
        if name == BUFFER:
            continue
        if name in OUTSIDE:
            yield OUTSIDE[name], tensor
            continue
        number, _, rest = name.removeprefix(LAYER).partition(".")
        if not name.startswith(LAYER) or not (rest in IN_LAYER or rest.startswith(FUSED)):
            raise BadInput("base_model", f"the tensor {name} is not of ChatGLM2, ChatGLM3 or GLM-4")
        layer = f"{GLM_LAYER}{number}."
        if rest in IN_LAYER:
            yield layer + IN_LAYER[rest], tensor
        else:
            yield from split_fused(layer, rest.removeprefix(FUSED), tensor, config)


def split_fused(
    layer: str, kind: str, fused: torch.Tensor, config: Mapping[str, Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Cut the fused projection along its output: queries of all heads, then keys and values of the groups."""
    queries = config["num_attention_heads"] * config["kv_channels"]
    groups = config["multi_query_group_num"] * config["kv_channels"]
    for part, tensor in zip("qkv", fused.split([queries, groups, groups]), strict=True):
        yield f"{layer}self_attn.{part}_proj.{kind}", tensor
