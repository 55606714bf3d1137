"""A small random ChatGLM2/3 or GLM-4 folder in the original layout, as `trainer make-tiny chatglm` writes it."""

import base64
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

CONFIG: dict[str, Any] = {
    "model_type": "chatglm",
    "architectures": ["ChatGLMModel"],
    "auto_map": {"AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration"},
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_residual_connection_post_layernorm": False,
    "ffn_hidden_size": 48,
    "hidden_size": 32,
    "kv_channels": 8,
    "layernorm_epsilon": 1e-5,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 4,
    "num_layers": 2,
    "original_rope": True,
    "padded_vocab_size": 272,
    "post_layer_norm": True,
    "rmsnorm": True,
    "seq_length": 128,
    "eos_token_id": 257,
    "pad_token_id": 256,
}
TEMPLATE = (
    "[gMASK]<sop>{% for item in messages %}<|{{ item['role'] }}|>\n{{ item['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>"]


def draw_tensors(config: dict[str, Any], seed: int = 5) -> dict[str, torch.Tensor]:
    """Draw random weights under the names and in the shapes of the original layout."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    width, inner = config["hidden_size"], config["ffn_hidden_size"]
    heads = config["num_attention_heads"] * config["kv_channels"]
    fused = heads + 2 * config["multi_query_group_num"] * config["kv_channels"]
    tensors = {
        "transformer.embedding.word_embeddings.weight": draw(config["padded_vocab_size"], width),
        "transformer.rotary_pos_emb.inv_freq": draw(2),
        "transformer.encoder.final_layernorm.weight": draw(width).exp(),
        "transformer.output_layer.weight": draw(config["padded_vocab_size"], width),
    }
    for number in range(config["num_layers"]):
        layer = f"transformer.encoder.layers.{number}."
        tensors |= {
            f"{layer}input_layernorm.weight": draw(width).exp(),
            f"{layer}post_attention_layernorm.weight": draw(width).exp(),
            f"{layer}self_attention.query_key_value.weight": draw(fused, width),
            f"{layer}self_attention.dense.weight": draw(width, heads),
            f"{layer}mlp.dense_h_to_4h.weight": draw(2 * inner, width),
            f"{layer}mlp.dense_4h_to_h.weight": draw(width, inner),
        }
        if config["add_qkv_bias"]:
            tensors[f"{layer}self_attention.query_key_value.bias"] = draw(fused)
    return tensors


def write_folder(folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """Write the folder as it is released: two weight files, the tokenizer as a tiktoken file with its settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = draw_tensors(config) if tensors is None else tensors
    names = sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        save_file({name: tensors[name] for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    lines = [base64.b64encode(bytes([byte])) + b" %d" % byte for byte in range(256)]
    (folder / "tokenizer.model").write_bytes(b"\n".join(lines) + b"\n")
    special = {str(256 + number): {"content": token, "special": True} for number, token in enumerate(SPECIAL)}
    settings = {
        "added_tokens_decoder": special,
        "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLM4Tokenizer", None]},
        "chat_template": TEMPLATE,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "ChatGLM4Tokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
