import pytest

from pricing.catalog.near_names import find_near, suggest, suggest_owner

KNOWN = ("lora", "qlora-nf4", "lora-int8", "rtx-4090", "RTX-3090")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("qlora", "qlora-nf4"),
        ("LORA-int", "lora-int8"),
        ("rtx-409", "rtx-4090"),
        ("rtx3090", "RTX-3090"),
        ("RTX 409", "rtx-4090"),
        ("tpu", None),
        ("", None),
        ("q", None),
        ("x" * 10**6, None),
    ],
)
def test_a_near_name_is_found_where_there_is_one(name, near):
    assert find_near(name, KNOWN) == near


def test_a_suggestion_is_a_question_or_nothing():
    assert suggest("rtx-409", KNOWN) == "did you mean rtx-4090? "
    assert suggest("tpu", KNOWN) == ""


def test_whose_a_near_spelling_is_is_what_is_asked():
    owners = {"RTX 4070 Laptop": "rtx-4070-laptop", "rtx-4070": "rtx-4070"}
    assert suggest_owner("rtx 4070 labtop", owners) == "did you mean rtx-4070-laptop? "
    assert suggest_owner("tpu", owners) == ""
