"""Names, reasons and references: what shows as nothing, or as something else than was written."""

import pytest

from broker.http.plain_text import check_line, check_text


@pytest.mark.parametrize("text", ["", " ", "\t", "\u200b", "\u202e\u200b", "\u3000", "\u3164", " \u2800"])
def test_what_cannot_be_seen_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nothing that can be seen"):
        check_text(text)


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x85", "\u2028", "\u202e", "\u2066"])
def test_controls_and_what_turns_the_order_around_are_refused(sign: str) -> None:
    with pytest.raises(ValueError, match="remove it"):
        check_text(f"PO-{sign}4711")


@pytest.mark.parametrize("sign", ["\n", "\r", "\t"])
def test_name_is_one_line_and_a_reason_may_have_more(sign: str) -> None:
    assert check_text(f"one{sign}two") == f"one{sign}two"
    with pytest.raises(ValueError, match="one line"):
        check_line(f"one{sign}two")


@pytest.mark.parametrize("name", ["合同-2026", "عقد", "👩\u200d🔬 team", "می\u200cخواهم", "O'Neill; DROP TABLE jobs"])
def test_names_of_all_scripts_are_taken(name: str) -> None:
    assert check_line(name) == name
