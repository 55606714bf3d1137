"""YAML with a key that is written twice is refused wherever it is, with both lines."""

import pytest
import yaml

from pricing.unique_yaml import load_yaml


@pytest.mark.parametrize(
    ("text", "key", "first", "second"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a'", 1, 3),
        ("plans:\n  one:\n    price: 1\n\n    price: 2\n", "'price'", 3, 5),
        ("- {a: 1, a: 2}\n", "'a'", 1, 1),
        ('{"a": 1,\n "a": 2}', "'a'", 1, 2),
        ("1: x\n0x1: y\n", "1", 1, 2),
        ("base: &base {x: 1}\ntwo:\n  <<: *base\n  y: 1\n  y: 2\n", "'y'", 4, 5),
    ],
)
def test_a_key_written_twice_is_refused_with_both_lines(text: str, key: str, first: int, second: int) -> None:
    with pytest.raises(yaml.YAMLError, match=f"{key} is written twice, on line {first} and on line {second}"):
        load_yaml(text)


def test_a_key_may_stand_in_several_mappings_and_override_what_is_merged() -> None:
    text = "base: &base {x: 1, y: 1}\ndeep:\n  one: &one\n    <<: *base\n    x: 2\ntwo:\n  <<: *one\n  y: 3\n"
    merged = {"base": {"x": 1, "y": 1}, "deep": {"one": {"x": 2, "y": 1}}, "two": {"x": 2, "y": 3}}
    assert load_yaml(text) == merged


@pytest.mark.parametrize("text", ["? [a]\n: 1\n", "!!python/object/apply:os.getcwd []", "a: ["])
def test_what_no_mapping_can_hold_is_a_fault_of_yaml(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)
