"""The forms in which people keep text rows, each turned into a `TextRow`: prompt-completion, alpaca, sharegpt, messages
and plain text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pricing.datasets.text_format import TextRow

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
FORMS = "a row has prompt and completion, instruction and output, messages, conversations, or text"


class RowRefused(ValueError):
    """The record cannot be used; the message says why."""


def to_row(record: Any) -> TextRow:
    """Turn a record into a row, stripped of white space around its texts. Raises: RowRefused."""
    if not isinstance(record, Mapping):
        raise RowRefused("a row is an object with prompt and completion")
    row = _read_form(record)
    texts = [row.prompt, row.completion, row.system or "", *(text for turn in row.history for text in turn)]
    if not row.completion:
        raise RowRefused("completion is empty: there is nothing to learn")
    if any(_has_lone_surrogate(text) for text in texts):
        raise RowRefused("half of a surrogate pair is no character; write the character itself or both halves")
    return row


def _read_form(record: Mapping[str, Any]) -> TextRow:
    """Recognize the form by the keys that are there, the more telling first."""
    has = {key for key, value in record.items() if value is not None}
    if has & {"messages", "conversations"}:
        return _read_turns(record)
    if has & {"instruction", "output"} and not has & {"prompt", "completion"}:
        return _read_alpaca(record)
    if "text" in has and not has & {"prompt", "completion"}:
        return TextRow("", _text_of(record, "text"), is_plain=True)
    prompt, completion = record.get("prompt"), record.get("completion")
    if not isinstance(prompt, str) or not isinstance(completion, str):
        raise RowRefused(f"prompt and completion are both needed, as text ({FORMS})")
    return TextRow(prompt.strip(), completion.strip(), system=_optional(record, "system"))


def _read_alpaca(record: Mapping[str, Any]) -> TextRow:
    """Read instruction and output; an input follows the instruction on a line of its own, as LLaMA-Factory has it."""
    instruction, given = _text_of(record, "instruction"), _optional(record, "input")
    history = record.get("history") or ()
    if not isinstance(history, Sequence) or not all(_is_pair(turn) for turn in history):
        raise RowRefused("history is a list of pairs: a prompt and its answer, as text")
    return TextRow(
        f"{instruction}\n{given}" if given else instruction,
        _text_of(record, "output"),
        system=_optional(record, "system"),
        history=tuple((prompt.strip(), answer.strip()) for prompt, answer in history),
    )


def _is_pair(turn: Any) -> bool:
    return isinstance(turn, Sequence) and len(turn) == 2 and all(isinstance(text, str) for text in turn)


def _read_turns(record: Mapping[str, Any]) -> TextRow:
    """Read `messages` (role, content) or `conversations` (from, value); a last question without answer is left out."""
    turns = record.get("messages") or record.get("conversations")
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise RowRefused("messages is a list of objects with role and content")
    spoken = [_read_turn(turn) for turn in turns]
    system = _optional(record, "system")
    if spoken[0][0] == "system":
        system = spoken.pop(0)[1] or None
    if spoken and spoken[-1][0] == "user":
        spoken.pop()
    roles = [role for role, _ in spoken]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise RowRefused("after an optional system message, user and assistant take turns, the user first")
    texts = [text for _, text in spoken]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    (prompt, completion), history = pairs[-1], tuple(pairs[:-1])
    return TextRow(prompt, completion, system=system, history=history)


def _read_turn(turn: Any) -> tuple[str, str]:
    if not isinstance(turn, Mapping):
        raise RowRefused("each message is an object with role and content")
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if not isinstance(role, str) or role not in ROLES:
        raise RowRefused(f"role {role!r} is not known; roles are system, user and assistant")
    if not isinstance(content, str):
        raise RowRefused(f"the content of a message of {role} is not text")
    return ROLES[role], content.strip()


def _text_of(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise RowRefused(f"{key} is needed, as text")
    return value.strip()


def _optional(record: Mapping[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise RowRefused(f"{key} is not text")
    return (value or "").strip() or None


def _has_lone_surrogate(text: str) -> bool:
    """Find half of a surrogate pair, which JSON can write as an escape and UTF-8, so every tokenizer, refuses."""
    return any("\ud800" <= character <= "\udfff" for character in text)
