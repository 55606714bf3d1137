"""The ChatGLM family: ChatGLM2/3-6B and GLM-4-9B, in their original layout or as transformers' own (`-hf`).

No code of a model folder is ever run: the original layout is mapped onto transformers' Glm classes.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from pricing.training.config import TrainingConfig
from trainer.atomic_files import writing_folder
from trainer.base_models.cache_dir import get_cache_dir
from trainer.base_models.config import BaseModelSource
from trainer.base_models.model_type import CHATGLM_ORIGINAL, read_model_type
from trainer.base_models.number_format import choose_dtype, describe_quantization
from trainer.base_models.transformers_quiet import transformers
from trainer.errors import BadInput
from trainer.families.chatglm.generation import LAYOUTS
from trainer.families.chatglm.layout import map_config, map_tensors, read_original_config
from trainer.families.chatglm.tokenizer import find_generation, prepare_tokenizer_folder
from trainer.families.text.causal_lm import CausalLM
from trainer.families.text.tokenizer import TextTokenizer, load_text_tokenizer
from trainer.formats.safe_file import map_safetensors

METADATA = {"format": "pt"}  # transformers reads no weight file without it
BEGIN = ("[gMASK]", "<sop>")
DEFAULT_TARGETS = ("q_proj", "k_proj", "v_proj")  # together what the original calls query_key_value
ORIGINAL_TARGETS = {
    "query_key_value": DEFAULT_TARGETS,
    "dense": ("o_proj",),
    "dense_h_to_4h": ("gate_up_proj",),
    "dense_4h_to_h": ("down_proj",),
}


class ChatGLM(CausalLM):
    """A causal language model like any other, but for where its weights and its defaults come from."""

    @classmethod
    def load(cls, source: BaseModelSource, config: TrainingConfig | None = None) -> Self:
        """Load a folder in either layout. Raises: BadInput."""
        if read_model_type(source.weights) != CHATGLM_ORIGINAL:
            return super().load(source, config)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = load_original(source.weights, config, device)
        model.name_or_path = source.locate(name_converted(source.weights))
        return cls(model.to(device), cls.read_tokenizer(source), device)

    @classmethod
    def read_tokenizer(cls, source: BaseModelSource, folder: Path | None = None) -> TextTokenizer:
        """Read the tokenizer of a folder in either layout, each answer ended by a mark. Raises: BadInput."""
        if read_model_type(source.weights) == CHATGLM_ORIGINAL:
            return _begin_texts(_end_completions(_read_original_tokenizer(source)))
        return _begin_texts(_end_completions(super().read_tokenizer(source, folder)))

    @classmethod
    def prepare_weights(cls, source: BaseModelSource) -> Path:
        """Return the model's folder, for one in the original layout the one that it is converted into once.

        Raises: BadInput.
        """
        if read_model_type(source.weights) == CHATGLM_ORIGINAL:
            return convert_once(source.weights)
        return super().prepare_weights(source)

    @classmethod
    def translate_targets(cls, targets: Sequence[str] | None) -> tuple[str, ...] | None:
        """Replace `query_key_value` and the other names of the original layout by the layers that they became."""
        if targets is None:
            return None
        return tuple(dict.fromkeys(layer for name in targets for layer in ORIGINAL_TARGETS.get(name, (name,))))

    def attach_adapter(self, config: TrainingConfig, default_targets: Sequence[str] | None = None) -> None:
        """Take target modules under the names of the original layout, too. Raises: BadInput."""
        named = self.translate_targets(config.target_modules)
        default = self.translate_targets(default_targets) or DEFAULT_TARGETS
        super().attach_adapter(config.model_copy(update={"target_modules": named}), default)


def load_original(folder: Path, config: TrainingConfig | None, device: torch.device) -> Any:
    """Load a frozen `GlmForCausalLM` from a folder in the original layout. Raises: BadInput."""
    original = read_original_config(folder)
    dtype = choose_dtype(config, device)
    quantization = describe_quantization(config, dtype)
    placing = {} if quantization is None else {"quantization_config": quantization, "device_map": {"": 0}}
    model, report = transformers.GlmForCausalLM.from_pretrained(
        None,
        config=transformers.GlmConfig(**map_config(original)),
        state_dict=read_mapped_tensors(folder, original),
        dtype=dtype,
        output_loading_info=True,
        **placing,
    )
    wrong = sorted({*report["missing_keys"], *report["unexpected_keys"], *map(str, report["mismatched_keys"])})
    if wrong:
        raise BadInput("base_model", f"{folder} is incomplete or of another model: {', '.join(wrong[:3])} do not fit")
    return model.requires_grad_(requires_grad=False)


def name_converted(folder: Path) -> Path:
    """Name the folder that `convert_once` makes: another one once a file of the model has changed."""
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(folder.iterdir())]
    digest = hashlib.sha256(json.dumps([str(folder.resolve()), stamps]).encode()).hexdigest()
    return get_cache_dir() / "converted" / f"{folder.name}-{digest[:16]}"


def convert_once(folder: Path) -> Path:
    """Return the folder in transformers' own layout, with weights as they are, made if it is not there yet.

    Raises: BadInput.
    """
    target = name_converted(folder)
    if target.is_dir():
        return target
    original = read_original_config(folder)
    tensors = read_mapped_tensors(folder, original)
    dtype = next(iter(tensors.values())).dtype
    with writing_folder(target) as aside:
        transformers.GlmConfig(**map_config(original), architectures=["GlmForCausalLM"], dtype=dtype).save_pretrained(
            aside
        )
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, aside / "model.safetensors", METADATA
        )
        for file in prepare_tokenizer_folder(folder).iterdir():
            if "token" in file.name or "template" in file.name:
                shutil.copyfile(file, aside / file.name)
    return target


def read_mapped_tensors(folder: Path, config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Read all weight files of the folder. Raises: BadInput, if there are none, or only pickles."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadInput(
            "base_model",
            f"{folder} has no .safetensors weights (.bin files are pickles, which are never opened); take the newest "
            "release of the model, which has them",
        )
    return {name: tensor for file in files for name, tensor in map_tensors(map_safetensors(file)[0], config)}


def _read_original_tokenizer(source: BaseModelSource) -> TextTokenizer:
    """Read the tokenizer of a folder in the original layout. Raises: BadInput."""
    folder, generation = prepare_tokenizer_folder(source.weights), find_generation(source.weights)
    if generation is None:
        return load_text_tokenizer(source, folder)
    return TextTokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")), LAYOUTS[generation].text_format)


def _begin_texts(tokenizer: TextTokenizer) -> TextTokenizer:
    """Begin plain texts as the released tokenizers do, also where `tokenizer.json` does not say so."""
    missing = [token for token in BEGIN if tokenizer.tokenizer.token_to_id(token) is None]
    if tokenizer.text_format.begin or missing:
        return tokenizer
    return TextTokenizer(tokenizer.tokenizer, replace(tokenizer.text_format, begin="".join(BEGIN)))


def _end_completions(tokenizer: TextTokenizer) -> TextTokenizer:
    """End each answer with the mark of the user's turn, else a lone answer would never learn to end.

    `<|user|>` is among the tokens at which the released models stop.
    """
    text_format = tokenizer.text_format
    if text_format.after_completion or tokenizer.tokenizer.token_to_id("<|user|>") is None:
        return tokenizer
    further = text_format.before_next_prompt
    ended = replace(
        text_format,
        after_completion="<|user|>",
        before_next_prompt=None if further is None else further.removeprefix("<|user|>"),
    )
    return TextTokenizer(tokenizer.tokenizer, ended)
