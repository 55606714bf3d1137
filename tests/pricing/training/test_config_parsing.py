import pytest

from pricing.field_problem import FieldProblem
from pricing.training.config_parsing import MOST_TOLD, ConfigInvalid, parse_training_config


def problems_of(**keys):
    with pytest.raises(ConfigInvalid) as caught:
        parse_training_config({"base_model": "m", **keys})
    return caught.value.problems


@pytest.mark.parametrize(("key", "near"), [("lora_rnk", "lora_rank"), ("batchsize", "batch_size")])
def test_an_unknown_key_is_told_the_nearest_known_one(key, near):
    assert problems_of(**{key: 1}) == [FieldProblem(key, f"unknown key; did you mean {near}?")]


def test_an_unknown_key_like_no_other_is_told_all_known_ones():
    [problem] = problems_of(zzz=1)
    assert problem.field == "zzz"
    assert "lora_rank" in problem.message


def test_every_problem_is_named_at_once():
    assert {problem.field for problem in problems_of(lora_rank=0, epochs="many", lora_rnk=1)} == {
        "lora_rank",
        "epochs",
        "lora_rnk",
    }


def test_a_key_that_is_no_text_is_refused():
    with pytest.raises(ConfigInvalid):
        parse_training_config({"base_model": "m", 1: 2})


def test_of_very_many_unknown_keys_the_first_are_told():
    with pytest.raises(ConfigInvalid) as caught:
        parse_training_config({"base_model": "x", **{f"k{number}": 1 for number in range(10 * MOST_TOLD)}})
    assert [problem.field for problem in caught.value.problems] == [f"k{number}" for number in range(MOST_TOLD)]
