"""The tokenizer of a GLM folder: `tokenizer.json` where there is one, else the file of the release, converted once."""

import base64
import binascii
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.base_models.cache_dir import get_cache_dir
from trainer.base_models.transformers_quiet import transformers
from trainer.errors import BadInput
from trainer.families.chatglm.generation import END, LAYOUTS, UNKNOWN, Generation, tell_generation
from trainer.families.chatglm.sentencepiece_file import NotSentencePiece, convert_sentencepiece

# isort: split
from transformers.convert_slow_tokenizer import TikTokenConverter  # after the line that sets transformers offline

FORMAT = "v2"  # changes with what is written below
TOKENIZER_FILE, SETTINGS_FILE = "tokenizer.model", "tokenizer_config.json"


def prepare_tokenizer_folder(folder: Path) -> Path:
    """Return a folder that transformers can read the tokenizer from. Raises: BadInput."""
    if (folder / "tokenizer.json").is_file():
        return folder
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        raise BadInput("base_model", f"{folder} has neither tokenizer.json nor {TOKENIZER_FILE}; copy it there")
    content = file.read_bytes()
    ranks = find_ranks(content)
    if ranks is None:
        generation = tell_generation(folder)
        return _convert_once(folder, content, generation.name, lambda: _convert_pieces(file, content, generation))
    settings = _read_settings(folder)
    facts = json.dumps(settings, sort_keys=True)
    return _convert_once(folder, content, facts, lambda: convert_tokenizer(folder, ranks, settings))


def find_generation(folder: Path) -> Generation | None:
    """Find which of the two a folder with a SentencePiece file is; None for any other folder. Raises: BadInput."""
    file = folder / TOKENIZER_FILE
    if (folder / "tokenizer.json").is_file() or not file.is_file() or find_ranks(file.read_bytes()) is not None:
        return None
    return tell_generation(folder)


def find_ranks(content: bytes) -> dict[bytes, int] | None:
    """Read the lines of a tiktoken file, a token in base64 and its rank; None for any other file."""
    try:
        lines = (line.split() for line in content.splitlines() if line)
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (ValueError, binascii.Error):
        return None


def _convert_pieces(file: Path, content: bytes, generation: Generation) -> Any:
    """Convert a SentencePiece file, with special tokens and chat template of its generation. Raises: BadInput."""
    layout = LAYOUTS[generation]
    try:
        tokenizer = convert_sentencepiece(content, list(layout.special))
    except NotSentencePiece as error:
        raise BadInput(
            "base_model", f"{file} is neither a tiktoken file nor a SentencePiece model ({error}); copy it there again"
        ) from error
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=UNKNOWN, chat_template=layout.template
    )


def _read_settings(folder: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput("base_model", f"{folder / SETTINGS_FILE} cannot be read ({error}); copy it there") from error
    return settings


def _convert_once(folder: Path, content: bytes, facts: str, convert: Callable[[], Any]) -> Path:
    """Return the converted tokenizer, written if it is not there; the folder appears complete or not at all."""
    digest = hashlib.sha256(content + facts.encode()).hexdigest()
    target = get_cache_dir() / "tokenizers" / f"{folder.name}-{digest[:16]}-{FORMAT}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    try:
        convert().save_pretrained(aside)
        os.rename(aside, target)  # noqa: PTH104 - Path.rename would do the same; an error is looked at below
    except OSError:
        if not target.is_dir():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def convert_tokenizer(folder: Path, ranks: dict[bytes, int], settings: dict[str, Any]) -> Any:
    """Make a fast tokenizer with the same ids. Raises: BadInput, if a special token would get another id."""
    special = {int(number): entry["content"] for number, entry in settings.get("added_tokens_decoder", {}).items()}
    ordered = [special[number] for number in sorted(special)]
    tokenizer = _Ranks(ranks, extra_special_tokens=ordered).converted()
    moved = [token for number, token in special.items() if tokenizer.token_to_id(token) != number]
    if moved:
        raise BadInput(
            "base_model", f"{folder / TOKENIZER_FILE} does not fit its {SETTINGS_FILE}: {moved[0]} would move"
        )
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
