"""`trainer make-tiny`: small random models of the true architectures, for tests, demonstrations and benchmarks.

No weights of Stable Diffusion or ChatGLM can be had without a model hub; these have every layer of the real ones, fewer
channels, and the real CLIP vocabulary, so that whatever loads them loads the real ones.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from trainer.atomic_files import writing_file, writing_folder
from trainer.base_models.diffusers_quiet import diffusers, transformers
from trainer.commands import make_tiny_chatglm
from trainer.commands.make_tiny_blip import make_blip
from trainer.commands.make_tiny_llama import make_llama
from trainer.errors import BadInput
from trainer.families.stable_diffusion.clip_text import ClipTokenizer
from trainer.families.stable_diffusion.configs import PIPELINES, Config, Kind, get_config
from trainer.families.stable_diffusion.layout import COMPONENTS, to_original_layout

SEED = 7
TINY: dict[Kind, dict[str, Config]] = {
    "sd15": {
        "unet": {"block_out_channels": [32, 64, 128, 128], "cross_attention_dim": 64, "sample_size": 32},
        "vae": {"block_out_channels": [32, 64, 128, 128], "sample_size": 256},
        "text_encoder": {
            "hidden_size": 64,
            "intermediate_size": 256,
            "num_attention_heads": 1,
            "num_hidden_layers": 2,
            "projection_dim": 64,
        },
    },
    "sdxl": {
        "unet": {
            "block_out_channels": [32, 64, 128],
            "attention_head_dim": [1, 1, 2],
            "cross_attention_dim": 192,
            "transformer_layers_per_block": [1, 1, 2],
            "projection_class_embeddings_input_dim": 128 + 6 * 256,
            "sample_size": 32,
        },
        "vae": {"block_out_channels": [32, 64, 128, 128], "sample_size": 256},
        "text_encoder": {
            "hidden_size": 64,
            "intermediate_size": 256,
            "num_attention_heads": 1,
            "num_hidden_layers": 2,
            "projection_dim": 64,
        },
        "text_encoder_2": {
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "projection_dim": 128,
        },
    },
}
MODEL_CLASSES = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
}


def make_tiny(kind: str, target: Path) -> Path:
    """Write the model: a folder, or for sd15 and sdxl one original-layout file if `target` ends in .safetensors.

    Raises: BadInput, if there is something in that place already or the kind is not known.
    """
    if target.exists():
        raise BadInput("target", f"{target} is there already; name another place or delete it")
    if kind not in WRITERS:
        raise BadInput("kind", f"{kind!r} is not known; known kinds: {', '.join(WRITERS)}")
    torch.manual_seed(SEED)
    WRITERS[kind](target)
    return target


def make_stable_diffusion(kind: Kind, target: Path) -> None:
    components = build_tiny_components(kind)
    if target.suffix == ".safetensors":
        with writing_file(target) as aside:
            save_file(to_original_layout(kind, components), aside, metadata={"format": "pt"})
        return
    with writing_folder(target) as folder:
        for component, model in components.items():
            model.save_pretrained(folder / component, safe_serialization=True)
        _write_tokenizers(kind, folder)
        scheduler = getattr(diffusers, get_config(kind, "scheduler")["_class_name"])
        scheduler.from_config(get_config(kind, "scheduler")).save_pretrained(folder / "scheduler")
        _write_index(kind, folder)


def build_tiny_components(kind: Kind) -> dict[str, Any]:
    """Build the components with random weights, drawn from torch's generator."""
    components = {}
    for component in COMPONENTS[kind]:
        config = get_config(kind, component) | TINY[kind][component]
        library, name = MODEL_CLASSES[component]
        if library == "diffusers":
            components[component] = getattr(diffusers, name).from_config(config)
        else:
            components[component] = getattr(transformers, name)(transformers.CLIPTextConfig(**config))
    return components


def _write_tokenizers(kind: Kind, folder: Path) -> None:
    """Write CLIP's vocabulary in the two files that every reader knows."""
    model = json.loads(ClipTokenizer.load().tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    for component in ("tokenizer", "tokenizer_2")[: len(COMPONENTS[kind]) - 2]:
        place = folder / component
        place.mkdir()
        (place / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
        (place / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
        settings = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": 77,
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>" if component == "tokenizer" else "!",
        }
        (place / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _write_index(kind: Kind, folder: Path) -> None:
    index: dict[str, Any] = {"_class_name": PIPELINES[kind], "_diffusers_version": diffusers.__version__}
    index |= {component: list(MODEL_CLASSES[component]) for component in COMPONENTS[kind]}
    index |= {"scheduler": ["diffusers", get_config(kind, "scheduler")["_class_name"]]}
    index["tokenizer"] = ["transformers", "CLIPTokenizer"]
    if kind == "sdxl":
        index |= {"tokenizer_2": ["transformers", "CLIPTokenizer"], "force_zeros_for_empty_prompt": True}
    else:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")


def make_chatglm(target: Path) -> None:
    with writing_folder(target) as folder:
        make_tiny_chatglm.write_folder(folder, make_tiny_chatglm.CONFIG)


WRITERS: dict[str, Callable[[Path], None]] = {
    "sd15": lambda target: make_stable_diffusion("sd15", target),
    "sdxl": lambda target: make_stable_diffusion("sdxl", target),
    "llama": make_llama,
    "chatglm": make_chatglm,
    "blip": make_blip,
}
