"""What of a template a job may change."""

import pytest

from broker.errors import FieldError
from broker.templates.model import Bounds, Reference, fill_in

CONFIG = {"base_model": "sd-v1-5", "lora_rank": 8, "epochs": 10}


@pytest.mark.parametrize(
    ("bounds", "value", "wrong"),
    [
        (Bounds(), "anything", None),
        (Bounds(at_least=4, at_most=16), 4, None),
        (Bounds(at_least=4, at_most=16), 16.0, None),
        (Bounds(at_least=4, at_most=16), 17, "must be a number from 4 to 16 in jobs of this template"),
        (Bounds(at_least=4), 3, "must be a number of at least 4 in jobs of this template"),
        (Bounds(at_most=16), "8", None),
        (Bounds(at_most=16), "nan", "must be a number of at most 16 in jobs of this template"),
        (Bounds(at_most=16), "few", "must be a number of at most 16 in jobs of this template"),
        (Bounds(at_most=16), True, "must be a number of at most 16 in jobs of this template"),
        (Bounds(one_of=[4, 8]), 8.0, None),
        (Bounds(one_of=[4, 8]), 6, "must be one of 4, 8 in jobs of this template"),
        (Bounds(one_of=["1e-4", 2e-4]), 1e-4, None),
        (Bounds(one_of=["1e-4", 2e-4]), "2e-4", None),
        (Bounds(one_of=[1, 2]), True, "must be one of 1, 2 in jobs of this template"),
        (Bounds(one_of=["cosine", None]), None, None),
    ],
)
def test_bounds_say_what_a_value_must_be(bounds: Bounds, value: object, wrong: str | None) -> None:
    assert bounds.explain(value) == wrong
    assert Bounds.from_json(bounds.to_json()) == bounds


def test_a_job_changes_what_it_may_and_is_told_each_other_key() -> None:
    may = {"lora_rank": Bounds(one_of=[4, 8]), "seed": Bounds()}
    assert fill_in(CONFIG, may, {"lora_rank": 4, "seed": 7}) == ({**CONFIG, "lora_rank": 4, "seed": 7}, [])
    _config, refused = fill_in(CONFIG, may, {"lora_rank": 5, "epochs": 3, "base_model": "sd-v1-5"})
    assert refused == [
        FieldError("lora_rank", "must be one of 4, 8 in jobs of this template"),
        FieldError("epochs", "the template does not let a job change it; it may change lora_rank, seed"),
    ]


def test_a_number_that_yaml_takes_for_a_word_is_the_number() -> None:
    """The console once refused every template with `learning_rate: 3e-3`: its form says 0.003."""
    assert fill_in({"learning_rate": "3e-3"}, {}, {"learning_rate": 0.003})[1] == []
    assert fill_in({"learning_rate": "3e-3"}, {}, {"learning_rate": 0.004})[1] != []
    assert fill_in({"packing": True}, {}, {"packing": "true"})[1] != []


def test_a_reference_may_name_a_version() -> None:
    assert Reference.read("style") == Reference("style", None)
    assert Reference.read("style@12") == Reference("style", 12)
    assert Reference.read("tpl_01k") == Reference("tpl_01k", None)
    assert [Reference.read(each) for each in ("", "@3", "style@", "style@0", "style@x", "a@1@2")] == [None] * 6
