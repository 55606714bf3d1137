"""Keys of a record that change what its row means: honoured, or refused by name where they cannot be. Pure.

Sources: OpenAI's fine-tuning and preference formats (`weight`, `tools`, `preferred_output`), TRL's data set formats
(`label`, `chosen`, `rejected`), LLaMA-Factory's (`kto_tag`, `tools`, `images`), axolotl's (`train`, `train_detail`,
`segments`), ms-swift's (`loss`, `rejected_response`).
"""

from collections.abc import Mapping
from typing import Any

PAIR = "belongs to a pair of a better and a worse answer (DPO)"
TOOL = "belongs to calls of functions"
MEDIA = "belongs to pictures or sounds beside the text"
MASK = "says token by token what is learnt"
THOUGHT = "is what the model thinks before its answer"
REFUSED = {
    **dict.fromkeys(("chosen", "rejected", "chosen_response", "rejected_response", "rejected_responses"), PAIR),
    **dict.fromkeys(("preferred_output", "non_preferred_output", "rejected_messages", "chosen_messages"), PAIR),
    **dict.fromkeys(("tools", "tool_calls", "functions", "function_call", "function_calls"), TOOL),
    **dict.fromkeys(("image", "images", "video", "videos", "audio", "audios", "pixel_values"), MEDIA),
    **dict.fromkeys(("labels", "mask", "masks", "completion_mask", "assistant_mask", "assistant_masks"), MASK),
    **dict.fromkeys(("segments", "train_detail", "training_detail", "mask_history", "train_on_prompt"), MASK),
    **dict.fromkeys(("train_on_input", "train_on_inputs"), MASK),
}
REFUSED_IN_TURN = REFUSED | dict.fromkeys(("reasoning_content", "reasoning", "thinking", "refusal"), THOUGHT)
SWITCHES = ("weight", "loss", "train", "training", "loss_mask", "loss_weight", "sample_weight")
VERDICTS = ("label", "completion_label", "kto_tag")
WATCHED = frozenset({*REFUSED, *SWITCHES, *VERDICTS})
WATCHED_IN_TURN = frozenset({*REFUSED_IN_TURN, *SWITCHES, *VERDICTS})
CURE = "take the key out where it means something else, or leave the row out"

SAID = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}


class RowRefused(ValueError):
    """The record cannot be used; the message says why, `reason` the same without what differs from row to row."""

    def __init__(self, message: str, reason: str = "") -> None:
        self.reason = reason or message
        super().__init__(message)


class RowSetAside(ValueError):
    """The record says itself that nothing of it is to be learnt."""


class KeyTwice(dict[str, Any]):
    """An object in which a key is written twice: which of the two is meant, nobody can tell."""


def refuse_key_twice(record: Any) -> None:
    """Refuse an object in which a key is written twice. Raises: RowRefused."""
    if isinstance(record, KeyTwice):
        raise RowRefused("a key is written twice in one object; keep one of them")


def take_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its keys; plain JSON would quietly take the second of two."""
    taken = dict(pairs)
    return taken if len(taken) == len(pairs) else KeyTwice(taken)


def is_said(value: Any) -> bool:
    """Tell whether a key says anything: an empty text, list or object, `false` and null are the absence of a thing."""
    return value is not None and value is not False and value not in ("", [], {}) and str(value).strip() not in EMPTY


EMPTY = frozenset({"", "[]", "{}", "null", "None"})


def check_keys(record: Mapping[str, Any], *, is_text: bool = False) -> None:
    """Check what the keys of a record say of it. Raises: RowRefused; RowSetAside, where it is not to be learnt.

    `is_text` for a row of plain text, whose `label` may be the number of a class.
    """
    if record.keys().isdisjoint(WATCHED):
        return
    refuse_keys(record, REFUSED)
    for key in VERDICTS:
        _check_verdict(key, record.get(key), is_text=is_text)
    switch = find_switched_off(record)
    if switch is not None:
        raise RowSetAside(f"says {switch}: {record[switch]!r}, so it is not learnt")


def refuse_keys(record: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Refuse a record for the first key that cannot be honoured. Raises: RowRefused."""
    for key in record.keys() & refused.keys():
        if is_said(record[key]):
            raise RowRefused(f"{key} {refused[key]}, which is not trained here; {CURE}")


def find_switched_off(record: Mapping[str, Any]) -> str | None:
    """Find the key that says that this is not to be learnt; None where none does. Raises: RowRefused."""
    return next((key for key in SWITCHES if _read_switch(record, key) is False), None)


def find_switched_on(record: Mapping[str, Any]) -> str | None:
    """Find the key that says that this is to be learnt; None where none does. Raises: RowRefused."""
    return next((key for key in SWITCHES if _read_switch(record, key) is True), None)


def _read_switch(record: Mapping[str, Any], key: str) -> bool | None:
    value = record.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, list | tuple | dict):
        raise RowRefused(f"{key} {MASK}, which is not trained here; {CURE}")
    said = SAID.get(str(value).strip().lower())
    if said is None:
        reason = f"{key} is neither 0 nor 1: rows of other weights are not trained here"
        told = f"{reason} (it is {str(value)[:40]!r})"
        raise RowRefused(f"{told}; write 1 to learn it as the others, or 0 to leave it out", reason)
    return said


def _check_verdict(key: str, value: Any, *, is_text: bool) -> None:
    """Check that a verdict says nothing, or that the answer is a good one. Raises: RowRefused."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value is None or value == "" or (is_text and (is_number or isinstance(value, str))):
        return
    said = SAID.get(str(value).strip().lower())
    if said is None:
        reason = f"{key} does not say whether the answer is a good one (KTO)"
        raise RowRefused(f"{reason}: it is {str(value)[:40]!r}; {CURE}", reason)
    if not said:
        reason = f"{key}: false says that the answer is a bad one (KTO), and it would be learnt as a good one"
        raise RowRefused(f"{reason}; {CURE}", reason)
