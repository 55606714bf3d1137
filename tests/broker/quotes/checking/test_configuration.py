"""From a configuration and row lengths to what a job will need."""

import pytest

from broker import errors
from broker.http.shapes import as_hours
from broker.quotes.checking.configuration import LONGEST_KNOWN, resolve_configuration
from broker.quotes.counts.row_lengths import RowLengths
from broker.quotes.counts.text import RowLength, plan_text
from pricing.training.config import TrainingConfig


def config(max_length: int = 100) -> TrainingConfig:
    return TrainingConfig(base_model="smollm2-135m-instruct", max_length=max_length)


def test_row_is_cut_at_max_length() -> None:
    lengths = RowLengths.of([RowLength(prompt=10, whole=whole) for whole in (100, 101, 500)])
    assert plan_text(lengths, config()).longest == 100
    assert plan_text(lengths, config()).tokens == 10 * 300


def test_row_whose_prompt_fills_max_length_teaches_nothing_and_costs_nothing() -> None:
    lengths = RowLengths.of([RowLength(prompt=99, whole=120), RowLength(100, 120), RowLength(120, 150)])
    assert plan_text(lengths, config()).rows == 1, "one token of the first is left to learn"
    assert plan_text(lengths, config()).tokens == 10 * 100


def test_row_of_a_prompt_alone_teaches_nothing() -> None:
    assert plan_text(RowLengths.of([RowLength(5, 5), RowLength(5, 6)]), config()).longest == 6


def test_loss_tokens_are_those_of_completions_in_the_rows_as_cut() -> None:
    """Of 100 tokens 10 and, further on, 20 are prompts; the later prompt of the second row is cut at its first."""
    lengths = RowLengths.of([RowLength(10, 100, ((50, 70),)), RowLength(10, 300, ((99, 120),))])
    assert plan_text(lengths, config()).loss_tokens == 10 * ((100 - 10 - 20) + (100 - 10 - 1))


def test_first_token_of_a_row_without_a_prompt_is_predicted_by_none() -> None:
    assert plan_text(RowLengths.of([RowLength(0, 50)]), config()).loss_tokens == 10 * 49


def test_data_set_that_teaches_nothing_at_this_length_is_refused() -> None:
    with pytest.raises(errors.InvalidTrainingConfig) as refused:
        plan_text(RowLengths.of([RowLength(100, 120)]), config())
    assert [error.field for error in refused.value.errors] == ["config.max_length"]


def test_every_wrong_key_is_named_at_once() -> None:
    with pytest.raises(errors.InvalidTrainingConfig) as refused:
        resolve_configuration({"base_model": "smollm2-135m-instruct", "lora_rank": 0, "epochs": 0, "colour": "red"})
    named = {error.field for error in refused.value.errors}
    assert named == {"config.lora_rank", "config.epochs", "config.colour"}


def test_model_whose_tokenizer_is_not_installed_is_refused_with_the_cure() -> None:
    with pytest.raises(errors.InvalidTrainingConfig, match="broker estimator predict") as refused:
        resolve_configuration({"base_model": "Llama2-7B"})
    assert [error.field for error in refused.value.errors] == ["config.base_model"]


def test_default_that_is_written_out_is_the_same_configuration() -> None:
    short = resolve_configuration({"base_model": "smollm2-135m-instruct"})
    written = resolve_configuration({"base_model": "smollm2-135m-instruct", "lora_rank": 8, "batch_size": 4})
    assert short.to_json() == written.to_json()
    assert not {"output_dir", "train_data_dir", "metadata_path", "resume_from"} & short.to_json().keys()


@pytest.mark.parametrize(
    ("seconds", "hours"), [(0, "0.0000"), (1, "0.0003"), (95, "0.0264"), (3600, "1.0000"), (1_800_000, "500.0000")]
)
def test_hours_have_four_places(seconds: int, hours: str) -> None:
    assert as_hours(seconds) == hours


def test_configuration_that_was_checked_lately_is_known_but_for_one_that_is_written_at_length() -> None:
    """Some megabytes each, all of them zeros behind one rate, were kept by the hundred."""
    short = {"base_model": "smollm2-135m-instruct", "learning_rate": "0.0001"}
    long = {**short, "learning_rate": "0.0001" + "0" * LONGEST_KNOWN}
    assert resolve_configuration(short) is resolve_configuration(dict(short))
    assert resolve_configuration(long) is not resolve_configuration(dict(long))
    assert resolve_configuration(long) == resolve_configuration(short)
