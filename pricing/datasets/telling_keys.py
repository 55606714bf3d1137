"""Keys of a record that change what its row means: honoured, or refused by name where they cannot be. Pure.

Sources: OpenAI's fine-tuning and preference formats (`weight`, `tools`, `preferred_output`), TRL's data set formats
(`label`, `chosen`, `rejected`, `margin`), LLaMA-Factory's (`kto_tag`, `tools`, `images`), axolotl's (`train`,
`train_detail`, `segments`), ms-swift's (`loss`, `rejected_response`), torchtune's messages (`masked`), data sets that
keep a reward model's or a reader's judgement beside an answer (`reward`, `score`, `rating`, `review_result`), and
tables that name the split of each row.
"""

import re
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
    **dict.fromkeys(("rejected_output", "rejected_answer", "rejected_completion", "margin"), PAIR),
    **dict.fromkeys(("tools", "tool_calls", "functions", "function_call", "function_calls"), TOOL),
    **dict.fromkeys(("image", "images", "video", "videos", "audio", "audios", "pixel_values"), MEDIA),
    **dict.fromkeys(("labels", "mask", "masks", "completion_mask", "assistant_mask", "assistant_masks"), MASK),
    **dict.fromkeys(("segments", "train_detail", "training_detail", "mask_history", "train_on_prompt"), MASK),
    **dict.fromkeys(("train_on_input", "train_on_inputs"), MASK),
}
REFUSED_IN_TURN = REFUSED | dict.fromkeys(("reasoning_content", "reasoning", "thinking", "refusal"), THOUGHT)
# Whether a row, or an answer, is learnt: 1 or 0; by those of the second line the other way round.
SWITCHES = ("weight", "loss", "train", "training", "trainable", "loss_mask", "loss_weight", "sample_weight")
COUNTER_SWITCHES = ("masked", "no_loss", "skip_loss")
# What is not to be learnt where it is true; where it is false it says nothing.
LEAVING_OUT = (
    *("skip", "skipped", "ignore", "ignored", "exclude", "excluded", "discard", "discarded", "deleted"),
    *("holdout", "held_out", "is_test", "is_validation", "is_eval"),
)
SPLITS = ("split", "partition")
OTHER_SPLITS = frozenset({"test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation", "holdout"})
# Whether the answer is a good one. What else the first say is refused; what else the others say is their own matter.
VERDICTS = ("label", "completion_label", "kto_tag")
JUDGEMENTS = (
    *("is_good", "good", "is_correct", "correct", "desirable", "is_desirable", "is_chosen", "preferred"),
    *("is_preferred", "accepted", "is_accepted", "approved", "is_approved", "thumbs_up", "thumbs", "feedback"),
    *("review_result", "verdict", "success", "is_success", "valid", "is_valid", "passed", "is_safe"),
)
COUNTER_JUDGEMENTS = (
    *("is_bad", "bad", "is_rejected", "is_wrong", "is_incorrect", "undesirable", "thumbs_down", "disliked"),
)
# How good the answer is, by a number whose scale nothing tells.
GRADES = (
    *("score", "scores", "reward", "rewards", "reward_score", "rating", "ratings", "stars", "grade", "rank"),
    *("advantage", "quality_score", "preference_score", "overall_score", "human_score"),
)
GRADED = "grades the answer, and no row is learnt by its grade here"
FLAGS_OF_A_PAIR = {"chosen": True, "rejected": False}  # where they hold no answer, but say which one this is
_JUDGING = frozenset({*VERDICTS, *JUDGEMENTS, *COUNTER_JUDGEMENTS, *GRADES})
SWITCHED_BY = (*SWITCHES, *COUNTER_SWITCHES, *LEAVING_OUT, *SPLITS)  # all that `find_switched_off` reads
WATCHED = frozenset({*REFUSED, *SWITCHED_BY, *_JUDGING})
WATCHED_IN_TURN = frozenset({*REFUSED_IN_TURN, *SWITCHED_BY, *_JUDGING})
CURE = "take the key out where it means something else, or leave the row out"

SAID = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}
JUDGED = SAID | {
    **dict.fromkeys(("good", "correct", "right", "accepted", "chosen", "thumbs_up", "up", "liked", "passed"), True),
    **dict.fromkeys(("bad", "incorrect", "wrong", "rejected", "thumbs_down", "down", "disliked", "failed"), False),
    **dict.fromkeys(("-1", "-1.0"), False),
}


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


def is_empty(value: Any) -> bool:
    """Tell whether a key holds nothing: null, NaN, an empty text, list or object, also as a table writes them."""
    return value is None or str(value).strip() in EMPTY


def is_said(value: Any) -> bool:
    """Tell whether a key says anything: what is empty, and `false`, are the absence of a thing."""
    return value is not False and not is_empty(value)


EMPTY = frozenset({"", "[]", "{}", "null", "None", "nan", "NaN"})


def check_keys(record: Mapping[str, Any], *, is_text: bool = False) -> None:
    """Check what the keys of a record say of it. Raises: RowRefused; RowSetAside, where it is not to be learnt.

    `is_text` for a row of plain text, whose `label` may be the number of a class, and whose `score` grades no answer.
    """
    if record.keys().isdisjoint(WATCHED):
        return
    switch = find_switched_off(record)
    if switch is not None:
        raise RowSetAside(f"says {switch}: {record[switch]!r}, so it is not learnt")
    refuse_keys(record, REFUSED)
    _check_judgement(record, is_text=is_text)


def check_turn_keys(turn: Mapping[str, Any]) -> None:
    """Check what the keys of a message say beside whether it is learnt. Raises: RowRefused."""
    refuse_keys(turn, REFUSED_IN_TURN)
    _check_judgement(turn, is_text=False)


def refuse_keys(record: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Refuse a record for the first key that cannot be honoured. Raises: RowRefused."""
    for key, value in record.items():
        if key not in refused:
            continue
        flag = _read_word(value, SAID) if key in FLAGS_OF_A_PAIR else None
        if flag is not None:
            if flag is not FLAGS_OF_A_PAIR[key]:
                raise _tell_bad(key, value)
        elif is_said(value):
            raise RowRefused(f"{key} {refused[key]}, which is not trained here; {CURE}")


def find_switched_off(record: Mapping[str, Any]) -> str | None:
    """Find the key that says that this is not to be learnt; None where none does. Raises: RowRefused."""
    found = next((key for key in SWITCHES if _read_switch(record, key) is False), None)
    found = found or next((key for key in (*COUNTER_SWITCHES, *LEAVING_OUT) if _read_switch(record, key)), None)
    return found or next((key for key in SPLITS if _is_other_split(record.get(key))), None)


def find_switched_on(record: Mapping[str, Any]) -> str | None:
    """Find the key that says that this is to be learnt; None where none does. Raises: RowRefused."""
    found = next((key for key in SWITCHES if _read_switch(record, key)), None)
    return found or next((key for key in COUNTER_SWITCHES if _read_switch(record, key) is False), None)


def _is_other_split(value: Any) -> bool:
    """Tell whether a row is of a split that is kept apart from training, as `test_sft` and `validation` are."""
    return isinstance(value, str) and re.split(r"[^a-z]", value.strip().lower(), maxsplit=1)[0] in OTHER_SPLITS


def _read_switch(record: Mapping[str, Any], key: str) -> bool | None:
    value = record.get(key)
    if is_empty(value):
        return None
    if isinstance(value, list | tuple | dict):
        raise RowRefused(f"{key} {MASK}, which is not trained here; {CURE}")
    said = _read_word(value, SAID)
    if said is None and key in SWITCHES:
        reason = f"{key} is neither 0 nor 1: rows of other weights are not trained here"
        told = f"{reason} (it is {str(value)[:40]!r})"
        raise RowRefused(f"{told}; write 1 to learn it as the others, or 0 to leave it out", reason)
    if said is None:
        reason = f"{key} says neither true nor false"
        told = f"{reason} (it is {str(value)[:40]!r})"
        raise RowRefused(f"{told}; write true to leave it out, or false to learn it as the others", reason)
    return said


def _read_word(value: Any, words: Mapping[str, bool]) -> bool | None:
    return None if isinstance(value, list | tuple | dict) else words.get(str(value).strip().lower())


def _check_judgement(record: Mapping[str, Any], *, is_text: bool) -> None:
    """Check that nothing says that the answer is a bad one, or grades it. Raises: RowRefused."""
    for key, value in record.items():
        is_of_text = is_text and isinstance(value, int | float | str) and not isinstance(value, bool)
        if key not in _JUDGING or is_empty(value) or is_of_text:
            continue
        if key in VERDICTS:
            _check_verdict(key, value)
        elif key in GRADES:
            _check_grade(key, value)
        elif _read_word(value, JUDGED) is (key in COUNTER_JUDGEMENTS):
            raise _tell_bad(key, value)
        elif isinstance(value, int | float) and _read_word(value, JUDGED) is None:
            _check_grade(key, value)


def _check_verdict(key: str, value: Any) -> None:
    """Check that the answer is said to be a good one. Raises: RowRefused."""
    said = _read_word(value, SAID)
    if said is None:
        reason = f"{key} does not say whether the answer is a good one (KTO)"
        raise RowRefused(f"{reason}: it is {str(value)[:40]!r}; {CURE}", reason)
    if not said:
        raise _tell_bad(key, False)


def _check_grade(key: str, value: Any) -> None:
    """Refuse a grade: which is good enough nobody can tell, and `true` is none. Raises: RowRefused."""
    if value is False:
        raise _tell_bad(key, value)
    if value is not True and is_said(value):
        raise RowRefused(f"{key} {GRADED}; leave out the rows that are not good enough, and the key of the others")


def _tell_bad(key: str, value: Any) -> RowRefused:
    shown = str(value).lower() if isinstance(value, bool) else f"{value!r}"
    reason = f"{key}: {shown} says that the answer is a bad one (KTO), and it would be learnt as a good one"
    return RowRefused(f"{reason}; {CURE}", reason)
