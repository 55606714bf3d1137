"""Captions by a local model folder: BLIP or Florence-2, through transformers; no code of the folder is run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image

from trainer.base_models.transformers_quiet import transformers
from trainer.errors import BadInput
from trainer.labelling.words import Label

MODEL_CLASSES = {"blip": "BlipForConditionalGeneration", "florence2": "Florence2ForConditionalGeneration"}
FLORENCE_TASK = "<DETAILED_CAPTION>"


class FolderCaptioner:
    """A captioning model with its processor, greedy."""

    def __init__(self, model: Any, processor: Any, max_new_tokens: int) -> None:
        self.model, self.processor, self.max_new_tokens = model, processor, max_new_tokens
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device).eval()

    @classmethod
    def load(cls, folder: Path, *, max_new_tokens: int) -> Self:
        """Load a captioning model.

        Raises: BadInput, for a folder that is not there, another kind of model, or pickled weights only.
        """
        model_class = getattr(transformers, MODEL_CLASSES[read_model_type(folder)])
        options = {"local_files_only": True, "trust_remote_code": False}
        try:
            model = model_class.from_pretrained(str(folder), use_safetensors=True, **options)
            processor = transformers.AutoProcessor.from_pretrained(str(folder), **options)
        except (OSError, ValueError) as error:
            raise BadInput("--model", f"{folder} cannot be loaded: {error}") from error
        return cls(model, processor, max_new_tokens)

    @torch.inference_mode()
    def label(self, pictures: Sequence[Image.Image]) -> list[Label]:
        inputs: dict[str, Any] = {"images": list(pictures), "return_tensors": "pt"}
        if self.model.config.model_type == "florence2":
            inputs["text"] = [FLORENCE_TASK] * len(pictures)
        encoded = self.processor(**inputs).to(self.device)
        generated = self.model.generate(**encoded, max_new_tokens=self.max_new_tokens, do_sample=False, num_beams=1)
        return [self._read(row.tolist()) for row in generated]

    def _read(self, token_ids: list[int]) -> Label:
        """Decode the tokens. The first is given, not generated; what follows the end is padding."""
        tokenizer = self.processor.tokenizer
        said = token_ids[1:]
        ends = {tokenizer.eos_token_id, tokenizer.sep_token_id} - {None}
        end = next((index for index, token in enumerate(said) if token in ends), None)
        tokens = len(said) if end is None else end + 1
        words = tokenizer.decode(said[:tokens], skip_special_tokens=True)
        return Label(" ".join(words.split()), tokens)


def read_model_type(folder: Path) -> str:
    """Read the kind of model: `blip` or `florence2`. Raises: BadInput."""
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput("--model", f"{folder} is no model folder with a config.json that can be read") from error
    if model_type not in MODEL_CLASSES:
        raise BadInput("--model", f"{folder} is a {model_type} model; captions are made by {', '.join(MODEL_CLASSES)}")
    return str(model_type)
