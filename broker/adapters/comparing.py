"""Two adapters beside each other: in what their settings, their data and what they came to differ. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any


def find_differences(of: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Find the keys in which mappings differ, each with the values of all."""
    keys = sorted({key for each in of for key in each})
    rows = [(key, [each.get(key) for each in of]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]
