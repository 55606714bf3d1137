"""A conversation as a row: who speaks in turn, what the answers are, and which of them are learnt. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pricing.datasets.telling_keys import (
    WATCHED_IN_TURN,
    RowRefused,
    RowSetAside,
    check_turn_keys,
    find_switched_off,
    find_switched_on,
    refuse_key_twice,
)
from pricing.datasets.text_format import TextRow

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
TEXT_PARTS = frozenset({None, "text", "input_text", "output_text"})
TURNS = "after an optional system message, user and assistant take turns, the user first"


@dataclass(frozen=True)
class _Turn:
    role: str
    text: str
    is_learnt: bool = True


def read_dialogue(turns: Sequence[Any], system: str | None = None, *, learnt_from: int = 0) -> TextRow:
    """Read the turns of a conversation; answers before the turn `learnt_from` are context only.

    A last question without an answer is left out, as is what follows the last answer that is learnt.
    Raises: RowRefused; RowSetAside, where no answer is to be learnt.
    """
    spoken = [_read_turn(turn, is_learnt=number >= learnt_from) for number, turn in enumerate(turns)]
    if spoken and spoken[0].role == "system":
        told = spoken.pop(0).text or None
        if told and system and told != system:
            raise RowRefused("has a system message in its turns and another beside them; keep one")
        system = told or system
    if spoken and spoken[-1].role == "user":
        spoken.pop()
    roles = [turn.role for turn in spoken]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise RowRefused(TURNS)
    answers = spoken[1::2]
    last = max((number for number, answer in enumerate(answers) if answer.is_learnt), default=None)
    if last is None:
        raise RowSetAside("says of each answer that it is not to be learnt")
    pairs = [(spoken[2 * number].text, answers[number].text) for number in range(last + 1)]
    (prompt, completion), history = pairs[-1], tuple(pairs[:-1])
    context = frozenset(number for number in range(last) if not answers[number].is_learnt)
    return TextRow(prompt, completion, system=system, history=history, context_answers=context)


def _read_turn(turn: Any, *, is_learnt: bool) -> _Turn:
    if not isinstance(turn, Mapping):
        raise RowRefused("each message is an object with role and content")
    refuse_key_twice(turn)
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if not isinstance(role, str) or role not in ROLES:
        raise RowRefused(f"role {str(role)[:40]!r} is not known; roles are system, user and assistant")
    if not turn.keys().isdisjoint(WATCHED_IN_TURN):
        is_learnt = _is_learnt(turn, ROLES[role], is_learnt=is_learnt)
    if not isinstance(content, str | list):
        raise RowRefused(f"the content of a message of {role} is not text")
    return _Turn(ROLES[role], read_text(content, f"the content of a message of {role}"), is_learnt)


def _is_learnt(turn: Mapping[str, Any], role: str, *, is_learnt: bool) -> bool:
    """Tell whether an answer is learnt by what its keys say. Raises: RowRefused."""
    check_turn_keys(turn)
    if role == "assistant":
        return is_learnt and find_switched_off(turn) is None
    key = find_switched_on(turn)
    if key is not None:
        raise RowRefused(f"{key} says that a message of {role} is to be learnt; only answers are")
    return is_learnt


def read_text(value: Any, what: str) -> str:
    """Read a text, or a list of its parts as OpenAI writes it, stripped. Raises: RowRefused.

    Several bare texts are no parts: LLaMA-Factory kept the better and the worse answer so.
    """
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, list):
        raise RowRefused(f"{what} is not text")
    if len(value) > 1 and all(isinstance(part, str) for part in value):
        raise RowRefused(f"{what} is a list of texts, of which one is to be learnt; write one text")
    return "".join(_read_part(part, what) for part in value).strip()


def _read_part(part: Any, what: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise RowRefused(f"{what} has a part that is not text")
    kind, text = part.get("type"), part.get("text")
    if not isinstance(kind, str | None) or kind not in TEXT_PARTS or not isinstance(text, str):
        raise RowRefused(f"{what} has a part of type {str(kind)[:40]!r}, which is not text and not trained here")
    return text
