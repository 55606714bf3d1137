"""What is written for a number or a flag: `true` was read as 1, 1_000 as a thousand, "no" as false."""

from decimal import Decimal
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from pricing.number_fields import explain_flag, explain_number, find_odd_values
from pricing.training.config_parsing import ConfigInvalid, parse_training_config


@pytest.mark.parametrize("written", [True, False, "1_000", "１２", " 1", "1 ", "NaN", "Infinity", "-inf"])
def test_what_only_python_reads_as_a_number_is_refused(written):
    assert explain_number(written) is not None


@pytest.mark.parametrize(
    "written", [1, 1.5, "1", "-1", "+1.50", ".5", "1e-4", "2.", None, [], {}, "", "one", "0x10", "."]
)
def test_numbers_and_values_of_other_kinds_are_left_to_their_field(written):
    assert explain_number(written) is None


def test_configuration_tells_odd_numbers_together_with_all_else_that_is_wrong():
    with pytest.raises(ConfigInvalid) as caught:
        parse_training_config({"epochs": True, "lora_rank": "1_0", "colour": 1, "learning_rate": "nan"})
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["lora_rank", "epochs", "learning_rate", "base_model", "colour"]
    assert parse_training_config({"base_model": "x", "learning_rate": "1e-4", "epochs": "3"}).epochs == 3


@pytest.mark.parametrize("beginning", ["1", "1.", "-.1", "1e"])
def test_a_number_of_any_length_is_looked_through_once(beginning):
    """Each digit was tried before and behind a point that is not there: 100 kB kept everybody waiting for minutes."""
    assert explain_number(beginning + "1" * 1_000_000 + "x") is None


@pytest.mark.parametrize("written", ["no", "true", "off", "", 0, 1, 1.0])
def test_what_only_python_reads_as_true_or_false_is_refused(written):
    assert explain_flag(written) == "must be true or false"


@pytest.mark.parametrize("written", [True, False, None, [], {}])
def test_flags_and_values_of_other_kinds_are_left_to_their_field(written):
    assert explain_flag(written) is None


def test_a_flag_of_a_document_is_told_by_its_name():
    class Switch(BaseModel):
        open: bool | None = None
        since: bool | int = 0

    assert find_odd_values(Switch, {"open": "no", "since": 1}) == {"open": "must be true or false"}


def test_an_amount_that_is_sent_back_as_answers_show_it_is_told_what_to_send():
    class Terms(BaseModel):
        budget: Decimal | None = None
        limit: Annotated[Annotated[Decimal, Field(ge=0)], Field(gt=0)] | None = None
        scope: Decimal | dict[str, str] = Decimal(0)

    shown = {"amount": "5", "currency": "CNY"}
    told = find_odd_values(Terms, dict.fromkeys(["budget", "limit", "scope"], shown))
    assert told == dict.fromkeys(["budget", "limit"], 'must be a number by itself, such as "12.50", not an object')
