"""The configuration of a labelling: which pictures, and what is wrong with each key."""

import pytest

from pricing.training.config_parsing import ConfigInvalid
from pricing.training.label_config import is_label_config, parse_label_config

LABEL = {"kind": "auto_label"}


@pytest.mark.parametrize(
    ("keys", "with_caption", "without"),
    [
        ({}, False, True),
        ({"scope": "all"}, False, True),
        ({"scope": "all", "conflict": "replace"}, True, True),
        ({"scope": "selected", "pictures": ["a.png"], "conflict": "prepend"}, True, True),
        ({"scope": "selected", "pictures": ["b.png"], "conflict": "prepend"}, False, False),
    ],
)
def test_what_a_labelling_takes(keys, with_caption, without) -> None:
    config = parse_label_config(LABEL | keys)
    assert (config.takes("a.png", "mine"), config.takes("a.png", "")) == (with_caption, without)


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        ({"max_token": 3}, "max_token", "did you mean max_tokens?"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": "1_0"}, "max_tokens", "got '1_0'"),
        ({"scope": "some"}, "scope", "'missing', 'all' or 'selected'"),
        ({"scope": "selected"}, "pictures", "go together"),
        ({"pictures": ["a.png"]}, "pictures", "go together"),
        ({"trigger": "two\nlines"}, "trigger", "pattern"),
    ],
)
def test_a_wrong_key_is_named_with_its_cure(keys, field, message) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        parse_label_config(LABEL | keys)
    (problem,) = refused.value.problems
    assert (problem.field, message in problem.message) == (field, True), problem.message


def test_a_training_is_no_labelling() -> None:
    assert not is_label_config({"base_model": "sd-1.5"})
    assert is_label_config(LABEL)
