"""Tiny labelling models for tests: random BLIP and Florence-2, and a WD14-like ONNX file written out by hand."""

import struct
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from trainer.commands.make_tiny_blip import make_blip

CODER_SIZES = {"layers": 1, "attention_heads": 2, "ffn_dim": 16}
TAGS = "tag_id,name,category,count\n1,red_kettle,0,9\n2,slow_ferry,4,9\n3,general,9,9\n"


def write_tiny_blip(folder: Path) -> Path:
    """One layer of width 16, some dozen words, random weights."""
    torch.manual_seed(5)
    make_blip(folder)
    return folder


def write_tiny_florence(folder: Path) -> Path:
    """One layer of width 16 in each part, a token for each byte, random weights."""
    torch.manual_seed(3)
    tokenizer = _make_byte_tokenizer()
    image_token, ends = tokenizer.convert_tokens_to_ids("<image>"), {"bos_token_id": 0, "pad_token_id": 1}
    coders = {f"{part}_{name}": n for part in ("encoder", "decoder") for name, n in CODER_SIZES.items()}
    text = coders | ends | {"model_type": "bart", "vocab_size": len(tokenizer), "d_model": 16, "eos_token_id": 2}
    stages = {name: [1] * 4 for name in ("depths", "num_heads", "num_groups")}
    vision = stages | {"embed_dim": [8, 8, 8, 16], "window_size": 2, "projection_dim": 16, "max_position_embeddings": 8}
    config = Florence2Config(
        text_config=text | {"decoder_start_token_id": 2, "max_position_embeddings": 256},
        vision_config=vision | {"max_temporal_embeddings": 4},
        image_token_id=image_token,
    )
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    side = {"height": 64, "width": 64}
    pictures = CLIPImageProcessorPil(size=side, crop_size=side, do_center_crop=False)
    pictures.image_seq_length = 5  # 2×2 fields and their mean
    Florence2Processor(pictures, tokenizer).save_pretrained(folder)
    return folder


def _make_byte_tokenizer() -> PreTrainedTokenizerFast:
    words = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    extra = {"image_token": "<image>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, extra_special_tokens=extra, **special)


def write_tiny_tagger(folder: Path) -> Path:
    """Three "probabilities": the mean of blue, green and red over the picture, 1 for 255. Takes [1, 8, 8, 3]."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "selected_tags.csv").write_text(TAGS, encoding="utf-8")
    axes = _tensor("axes", 7, [2], struct.pack("<2q", 1, 2))
    scale = _tensor("scale", 1, [], struct.pack("<f", 1 / 255))
    mean = _node(
        "ReduceMean", ["picture", "axes"], ["mean"], _field(5, _text(1, "keepdims") + _int(3, 0) + _int(20, 2))
    )
    multiply = _node("Mul", ["mean", "scale"], ["tags"], b"")
    graph = _field(1, mean) + _field(1, multiply) + _text(2, "tagger") + _field(5, axes) + _field(5, scale)
    graph += _field(11, _value("picture", [1, 8, 8, 3])) + _field(12, _value("tags", [1, 3]))
    model = _int(1, 8) + _field(7, graph) + _field(8, _text(1, "") + _int(2, 18))
    (folder / "model.onnx").write_bytes(model)
    return folder / "model.onnx"


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())


def _tensor(name: str, kind: int, shape: list[int], content: bytes) -> bytes:
    return b"".join(_int(1, size) for size in shape) + _int(2, kind) + _text(8, name) + _field(9, content)


def _node(kind: str, inputs: list[str], outputs: list[str], attributes: bytes) -> bytes:
    names = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
    return names + _text(4, kind) + attributes


def _value(name: str, shape: list[int]) -> bytes:
    dimensions = b"".join(_field(1, _int(1, size)) for size in shape)
    return _text(1, name) + _field(2, _field(1, _int(1, 1) + _field(2, dimensions)))
