"""The forms in which people keep text rows, each turned into a `TextRow`: prompt-completion, alpaca, sharegpt, messages
and plain text.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from pricing.datasets.telling_keys import RowRefused, RowSetAside, check_keys, is_said, refuse_key_twice
from pricing.datasets.text_format import TextRow
from pricing.datasets.text_turns import read_dialogue, read_text

__all__ = ["FORMS", "RowRefused", "RowSetAside", "to_row"]

FORMS = "a row has prompt and completion, instruction and output, messages, conversations, or text"
OTHER_FORMS = frozenset({"prompt", "completion", "messages", "conversations", "instruction", "output"})
# Text that a row of these forms has no place for.
STRAY_BESIDE_PROMPT = ("input", "query", "context")
STRAY_BESIDE_INSTRUCTION = ("query", "context")


def to_row(record: Any) -> TextRow:
    """Turn a record into a row, stripped of white space around its texts.

    Raises: RowRefused; RowSetAside, where the record itself says that nothing of it is to be learnt.
    """
    if not isinstance(record, Mapping):
        raise RowRefused("a row is an object with prompt and completion")
    refuse_key_twice(record)
    row = _read_form(record)
    texts = [row.prompt, row.completion, row.system or "", *(text for turn in row.history for text in turn)]
    if not row.completion:
        raise RowRefused("completion is empty: there is nothing to learn")
    if any(_has_lone_surrogate(text) for text in texts):
        raise RowRefused("half of a surrogate pair is no character; write the character itself or both halves")
    return row


def _read_form(record: Mapping[str, Any]) -> TextRow:
    """Recognize the form by the keys that are there, the more telling first."""
    has = {key for key, value in record.items() if value is not None and value != ""}
    is_text = record.get("text") is not None and not has & OTHER_FORMS
    check_keys(record, is_text=is_text)
    if has & {"messages", "conversations"}:
        return _read_messages(record, has)
    if is_text:
        _refuse_stray(record, ("history",))
        return TextRow("", _text_of(record, "text"), is_plain=True)
    if has & {"instruction", "output"} and not has >= {"prompt", "completion"}:
        return _read_alpaca(record)
    return _read_prompt(record)


def _read_prompt(record: Mapping[str, Any]) -> TextRow:
    """Read prompt and completion; each may be a list of messages, of which those of the completion are learnt."""
    prompt, completion = record.get("prompt"), record.get("completion")
    if _is_list_of_turns(prompt) and _is_list_of_turns(completion):
        _refuse_stray(record, ("history",))
        return read_dialogue([*prompt, *completion], _read_system(record), learnt_from=len(prompt))
    if not _is_text(prompt) or not _is_text(completion):
        raise RowRefused(f"prompt and completion are both needed, as text ({FORMS})")
    if record.get("instruction") is None:  # else the prompt was put together from these
        _refuse_stray(record, STRAY_BESIDE_PROMPT)
    return TextRow(
        read_text(prompt, "prompt"),
        read_text(completion, "completion"),
        system=_read_system(record),
        history=_read_history(record),
    )


def _read_alpaca(record: Mapping[str, Any]) -> TextRow:
    """Read instruction and output; an input follows the instruction on a line of its own, as LLaMA-Factory has it."""
    _refuse_stray(record, STRAY_BESIDE_INSTRUCTION)
    instruction, given = _text_of(record, "instruction"), _optional(record, "input")
    return TextRow(
        f"{instruction}\n{given}" if given else instruction,
        _text_of(record, "output"),
        system=_read_system(record),
        history=_read_history(record),
    )


def _read_history(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    history = record.get("history") or ()
    if not isinstance(history, Sequence) or not all(_is_pair(turn) for turn in history):
        raise RowRefused("history is a list of pairs: a prompt and its answer, as text")
    return tuple((prompt.strip(), answer.strip()) for prompt, answer in history)


def _is_pair(turn: Any) -> bool:
    is_list = isinstance(turn, Sequence) and not isinstance(turn, str)
    return is_list and len(turn) == 2 and all(isinstance(text, str) for text in turn)


def _read_messages(record: Mapping[str, Any], has: set[str]) -> TextRow:
    """Read `messages` (role, content) or `conversations` (from, value)."""
    _refuse_stray(record, ("history",))
    turns = record.get("messages") or record.get("conversations")
    if has >= {"messages", "conversations"} and record["messages"] != record["conversations"]:
        raise RowRefused("has both messages and conversations, and they differ; keep one")
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise RowRefused("messages is a list of objects with role and content")
    return read_dialogue(turns, _read_system(record))


def _read_system(record: Mapping[str, Any]) -> str | None:
    """Read the system message beside the turns, under either of its names."""
    system, prompt = _optional(record, "system"), _optional(record, "system_prompt")
    if system and prompt and system != prompt:
        raise RowRefused("has both system and system_prompt, and they differ; keep one")
    return system or prompt


def _refuse_stray(record: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Refuse text that would be left out without a word. Raises: RowRefused."""
    stray = next((key for key in keys if is_said(record.get(key))), None)
    if stray is not None:
        raise RowRefused(f"{stray} has no place in a row of this form; join it to the prompt, or take it out")


def _is_list_of_turns(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) and "role" in each for each in value)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str | list)


def _text_of(record: Mapping[str, Any], key: str) -> str:
    if not _is_text(record.get(key)):
        raise RowRefused(f"{key} is needed, as text")
    return read_text(record[key], key)


def _optional(record: Mapping[str, Any], key: str) -> str | None:
    value = record.get(key)
    return None if value is None else read_text(value, key) or None


def _has_lone_surrogate(text: str) -> bool:
    """Find half of a surrogate pair, which JSON can write as an escape and UTF-8, so every tokenizer, refuses."""
    return any("\ud800" <= character <= "\udfff" for character in text)
