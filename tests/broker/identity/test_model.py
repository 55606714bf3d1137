"""API keys and run tokens: made, hashed, checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.identity.model import RunBearer, hash_key, make_key, read_run_token, sign_run_token

SECRET = b"a secret of this broker"
BEARER = RunBearer("run_1", "cus_1")


def test_key_begins_with_its_visible_prefix_and_only_its_hash_is_kept() -> None:
    new = make_key()
    assert new.clear.startswith(f"{new.prefix}_")
    assert new.prefix.startswith("lbk_")
    assert new.key_hash == hash_key(new.clear)
    assert len(new.clear) - len(new.prefix) > 32, "192 bits are not to be guessed"
    assert new.clear.removeprefix(new.prefix) not in new.key_hash


def test_no_two_keys_are_alike() -> None:
    assert len({make_key().clear for _ in range(100)}) == 100


def test_token_of_a_run_is_the_same_each_time_and_names_its_run_and_customer() -> None:
    token = sign_run_token(SECRET, BEARER)
    assert token == sign_run_token(SECRET, BEARER)
    assert read_run_token(SECRET, token) == BEARER


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: token.replace("run_1", "run_2"),
        lambda token: token.replace("cus_1", "cus_2"),
        lambda token: token.replace(".cus_1", ""),
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token.upper(),
        lambda token: token.replace("lbr.", "lbk."),
        lambda token: token.rsplit(".", 1)[0] + ".",
        lambda token: token.rsplit(".", 1)[0] + ".é",
    ],
)
def test_changed_token_is_none_of_ours(forge: object) -> None:
    token = sign_run_token(SECRET, BEARER)
    assert read_run_token(SECRET, forge(token)) is None  # type: ignore[operator]


def test_token_of_another_broker_is_none_of_ours() -> None:
    assert read_run_token(SECRET, sign_run_token(b"another secret", BEARER)) is None


@given(st.text())
def test_no_text_is_a_token_by_chance_or_breaks_the_reader(text: str) -> None:
    assert read_run_token(SECRET, text) is None
