"""Whatever a JSON document has that no table keeps is seen in its bytes: others need not be looked through."""

import json
from email.message import Message
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import errors
from broker.http.body import JSON_TYPE, MAX_DEPTH, find_unstorable, join_pairs, may_be_unstorable
from tests.broker.conftest import START
from tests.broker.factories import usage_event
from tests.properties import examples

TEXTS = st.text(st.sampled_from("a\x00\ud800\udfff\\u\"'0d火"), max_size=4)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([10**17, -(2**63), 2**63, 1e300])
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | NUMBERS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@examples(300)
@given(document=VALUES, is_ascii=st.booleans(), encoding=st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_what_no_table_keeps_is_seen_in_the_bytes(document: Any, is_ascii: bool, encoding: str) -> None:
    written = json.dumps(document, ensure_ascii=is_ascii).encode(encoding, "surrogatepass")
    if any(find_unstorable(json.loads(written))):
        assert may_be_unstorable(written)


@pytest.mark.parametrize("written", [b'{"a": 1e999}', b'{"a": "\xed\xa0\x80"}', b"[" * 40 + b"]" * 40, b"NaN"])
def test_what_only_others_would_write_is_seen_too(written: bytes) -> None:
    assert may_be_unstorable(written)


def test_a_heartbeat_is_not_looked_through() -> None:
    event = usage_event("run_1", 3, gpu_seconds=2, tokens=100, started_at=START, ended_at=START)
    beat = {"fence_token": 1, "progress": {"step": 7, "loss": 2.31}, "usage": [event] * (MAX_DEPTH // 2 - 2)}
    assert not may_be_unstorable(json.dumps(beat).encode())


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json ;x",
        "application/problem+json",
        "application/a!b+json",
        "application/a b+json",
        "application/json, text/plain",
        "application/jsonl",
        "application/a/b+json",
        "application/ json",
        "text/json",
    ],
)
def test_what_fastapi_reads_as_json_is_what_is_checked(kind: str) -> None:
    """A name of a kind with an odd character in it brought values past the check."""
    read = Message()
    read["content-type"] = kind
    subtype = read.get_content_subtype()
    is_json = read.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
    assert bool(JSON_TYPE.match(kind)) == is_json


def test_a_key_that_comes_twice_is_found_in_one_pass() -> None:
    """Each key of an object was counted among all of them: a body of eight megabytes of keys took hours."""
    names = [f"k{number}" for number in range(500_000)]
    with pytest.raises(errors.InvalidRequest, match="'last' more than once"):
        join_pairs([(name, 1) for name in [*names, "last", "last"]])
