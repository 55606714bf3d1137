"""The tokenizer of a GLM folder: `tokenizer.json` where there is one, else GLM-4's tiktoken file, converted once."""

import base64
import binascii
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from trainer.errors import BadInput
from trainer.families.gguf_cache import get_cache_dir
from trainer.families.transformers_quiet import transformers

# isort: split
from transformers.convert_slow_tokenizer import TikTokenConverter  # after the line that sets transformers offline

FORMAT = "v1"  # changes with what is written below
RANKS_FILE, SETTINGS_FILE = "tokenizer.model", "tokenizer_config.json"


def prepare_tokenizer_folder(folder: Path) -> Path:
    """A folder that transformers can read the tokenizer from. Raises: BadInput."""
    if (folder / "tokenizer.json").is_file():
        return folder
    ranks_file = folder / RANKS_FILE
    if not ranks_file.is_file():
        raise BadInput("base_model", f"{folder} has neither tokenizer.json nor {RANKS_FILE}; copy it into that folder")
    content = ranks_file.read_bytes()
    settings = _read_settings(folder)
    digest = hashlib.sha256(content + json.dumps(settings, sort_keys=True).encode()).hexdigest()
    target = get_cache_dir() / "tokenizers" / f"{folder.name}-{digest[:16]}-{FORMAT}"
    if not target.is_dir():
        _convert_aside(folder, parse_ranks(content, ranks_file), settings, target)
    return target


def parse_ranks(content: bytes, file: Path) -> dict[bytes, int]:
    """The lines of a tiktoken file: a token in base64, its rank. Raises: BadInput, for any other file."""
    try:
        lines = (line.split() for line in content.splitlines() if line)
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (ValueError, binascii.Error) as error:
        raise BadInput(
            "base_model",
            f"{file} is a SentencePiece model, which ChatGLM2 and 3 read with code of their own, and no such code is "
            "run here; put a tokenizer.json into that folder: transformers.LlamaTokenizerFast(vocab_file=…) with the "
            "special tokens of tokenizer_config.json added, then save_pretrained",
        ) from error


def _read_settings(folder: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput("base_model", f"{folder / SETTINGS_FILE} cannot be read ({error}); copy it there") from error
    return settings


def _convert_aside(folder: Path, ranks: dict[bytes, int], settings: dict[str, Any], target: Path) -> None:
    """Write the converted tokenizer; the folder appears complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    try:
        convert_tokenizer(folder, ranks, settings).save_pretrained(aside)
        os.rename(aside, target)  # noqa: PTH104 - Path.rename would do the same; an error is looked at below
    except OSError:
        if not target.is_dir():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def convert_tokenizer(folder: Path, ranks: dict[bytes, int], settings: dict[str, Any]) -> Any:
    """A fast tokenizer with the same ids. Raises: BadInput, if a special token would get another id."""
    special = {int(number): entry["content"] for number, entry in settings.get("added_tokens_decoder", {}).items()}
    ordered = [special[number] for number in sorted(special)]
    tokenizer = _Ranks(ranks, extra_special_tokens=ordered).converted()
    moved = [token for number, token in special.items() if tokenizer.token_to_id(token) != number]
    if moved:
        raise BadInput("base_model", f"{folder / RANKS_FILE} does not fit its {SETTINGS_FILE}: {moved[0]} would move")
    template = settings.get("chat_template")
    template_file = folder / "chat_template.jinja"
    if template is None and template_file.is_file():
        template = template_file.read_text(encoding="utf-8")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=settings.get("eos_token"),
        pad_token=settings.get("pad_token"),
        chat_template=template,
    )


class _Ranks(TikTokenConverter):
    """transformers' converter, given the ranks instead of a file (which it would read with `tiktoken`)."""

    def __init__(self, ranks: dict[bytes, int], *, extra_special_tokens: list[str]) -> None:
        super().__init__(vocab_file="", extra_special_tokens=extra_special_tokens)
        self._ranks = ranks

    def load_tiktoken_bpe(self, _: str) -> dict[bytes, int]:
        return self._ranks
