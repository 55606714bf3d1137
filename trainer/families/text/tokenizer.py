"""The tokenizer and the text format of a base model: the catalogue's, by which the broker quotes, else the folder's."""

import gzip
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from pricing.catalog import read_tokenizer
from pricing.datasets.text_format import TextFormat, TextRow
from trainer.base_models.config import BaseModelSource
from trainer.errors import BadInput
from trainer.log import write_line

# The day of a chat template that writes one: that on which the templates of Llama 3 fall back. Another day every day
# would be other tokens, so that no run could be resumed on the next.
FIXED_DATE = datetime(2024, 7, 26)  # noqa: DTZ001 - a calendar day, nowhere
DIRECTIVES = "aAbBdmyYHIMSpjUWuVGwefcxX"  # of strftime; those with a minus have no leading zero
PROBE = "a"
Write = Callable[[TextRow], str]
PROMPT_MARK, COMPLETION_MARK, SYSTEM_MARK = "\u2063prompt\u2063", "\u2063completion\u2063", "\u2063system\u2063"
EARLIER_PROMPT_MARK, EARLIER_COMPLETION_MARK = "\u2063earlier prompt\u2063", "\u2063earlier completion\u2063"


@dataclass(frozen=True)
class TextTokenizer:
    """Text to token ids and back, with the text that the model expects around prompt and completion."""

    tokenizer: Tokenizer
    text_format: TextFormat

    def encode(self, text: str) -> list[int]:
        """Encode a text without adding special tokens; those written out in the text are recognised."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_pieces(self, pieces: Iterable[str]) -> list[int]:
        """Encode pieces of text as training does: each apart, then joined."""
        return [token for piece in pieces for token in self.encode(piece)]

    def describe_format(self) -> dict[str, Any]:
        """Describe the text format as a checkpoint keeps it."""
        return asdict(self.text_format)

    def with_format(self, kept: Mapping[str, Any]) -> Self:
        """Go on with the text format of a checkpoint, whatever the folder's template says by now."""
        known = {field.name for field in fields(TextFormat)}
        text_format = TextFormat(**{name: value for name, value in kept.items() if name in known})
        if text_format != self.text_format:
            write_line(
                "the chat template is another than the checkpoint's, which is kept: its rows go on as they began"
            )
        return replace(self, text_format=text_format)

    def decode(self, token_ids: list[int]) -> str:
        return self.tokenizer.decode(token_ids, skip_special_tokens=True)


def load_text_tokenizer(source: BaseModelSource, folder: Path) -> TextTokenizer:
    """Load the catalogue's tokenizer, else that of `folder` (de-quantized where the source is a GGUF file).

    The text format of a model that an operator added is the one that its jobs were quoted by. Raises: BadInput.
    """
    profile = source.profile
    if profile is not None and profile.tokenizer is not None and not profile.has_added_tokenizer:
        tokenizer_json = gzip.decompress(read_tokenizer(profile)).decode("utf-8")
        return TextTokenizer(Tokenizer.from_str(tokenizer_json), profile.text_format or TextFormat())
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise BadInput("base_model", f"{folder} has no tokenizer.json; save the fast tokenizer into that folder")
    quoted = profile.text_format if profile is not None and profile.has_added_tokenizer else None
    return TextTokenizer(Tokenizer.from_file(str(file)), quoted or derive_text_format(folder))


def derive_text_format(folder: Path) -> TextFormat:
    """Write out the chat template of a model folder; without one, a line break and the end-of-text token."""
    from trainer.base_models.transformers_quiet import transformers  # noqa: PLC0415 - slow, and only local models need it

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    begin = find_begin(tokenizer)
    if tokenizer.chat_template is None:
        return TextFormat(after_completion=tokenizer.eos_token or "", begin=begin, begins_conversations=bool(begin))

    template = write_fixed_date() + tokenizer.get_chat_template()

    def write(row: TextRow) -> str:
        return str(tokenizer.apply_chat_template(list_messages(row), tokenize=False, chat_template=template))

    single = replace(_write_out_single_turn(write), begin=begin)
    with_system = _add_system(single, write)
    complete = _add_later_turns(with_system, write)
    if with_system is single:
        _say_once(f"{folder}: its chat template takes no system message; one in a row leads the first prompt")
    if complete is with_system:
        _say_once(f"{folder}: its chat template cannot be written out for later turns; each is laid out like a first")
    return complete


def write_fixed_date() -> str:
    """Write the macro that stands in for transformers' `strftime_now` in a chat template."""
    written = [(f"%{sign}{each}", FIXED_DATE.strftime(f"%{sign}{each}")) for sign in ("-", "") for each in DIRECTIVES]
    replaced = "".join(f" | replace({directive!r}, {text!r})" for directive, text in written if text != directive)
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{replaced} }}}}{{%- endmacro -%}}"


def find_begin(tokenizer: Any) -> str:
    """Find what a tokenizer of transformers puts before every text, as vLLM and llama.cpp do: BOS; empty for nothing.

    A GLM puts two tokens there.
    """
    whole, bare = (tokenizer.encode(PROBE, add_special_tokens=special) for special in (True, False))
    starts = (place for place in range(len(whole) - len(bare) + 1) if whole[place : place + len(bare)] == bare)
    return "".join(tokenizer.convert_ids_to_tokens(whole[: next(starts, 0)]))


@cache
def _say_once(line: str) -> None:
    write_line(line)


def list_messages(row: TextRow) -> list[dict[str, str]]:
    """List the row's messages as chat templates take them."""
    opening = [] if row.system is None else [{"role": "system", "content": row.system}]
    turns = (*row.history, (row.prompt, row.completion))
    return opening + [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


def _write_out_single_turn(write: Write) -> TextFormat:
    written = write(TextRow(PROMPT_MARK, COMPLETION_MARK))
    before_prompt, _, rest = written.partition(PROMPT_MARK)
    after_prompt, _, after_completion = rest.partition(COMPLETION_MARK)
    return TextFormat(before_prompt, after_prompt, after_completion)


def _add_system(single: TextFormat, write: Write) -> TextFormat:
    """Add the place for a system message. A template that refuses or drops one leaves the format as it is."""
    row = TextRow(PROMPT_MARK, COMPLETION_MARK, system=SYSTEM_MARK)
    written = _try_to_write(row, write)
    before_system, mark, rest = written.partition(SYSTEM_MARK)
    after_system, _, _ = rest.partition(PROMPT_MARK)
    found = replace(single, before_system=before_system, after_system=after_system)
    return found if mark and _join(row, found) == written else single


def _add_later_turns(opening: TextFormat, write: Write) -> TextFormat:
    """Add what stands before the second prompt, if the template lays out later turns like the first."""
    row = TextRow(PROMPT_MARK, COMPLETION_MARK, history=((EARLIER_PROMPT_MARK, EARLIER_COMPLETION_MARK),))
    written = _try_to_write(row, write)
    between = written.partition(EARLIER_COMPLETION_MARK)[2].partition(PROMPT_MARK)[0]
    found = replace(opening, before_next_prompt=between.removeprefix(opening.after_completion))
    return found if _join(row, found) == written else opening


def _join(row: TextRow, text_format: TextFormat) -> str:
    return "".join(text for text, _ in text_format.lay_out(row))


def _try_to_write(row: TextRow, write: Write) -> str:
    try:
        return write(row)
    except Exception:  # noqa: BLE001 - templates raise what they like for roles that they do not take
        return ""
