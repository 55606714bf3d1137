"""YAML in which a key that is written twice is a fault: plain YAML would quietly take the second. Pure."""

from collections.abc import Hashable
from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"


def load_yaml(text: str) -> Any:
    """Load one document, without tags of Python's. Raises: yaml.YAMLError; for a key twice it names both lines."""
    return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506  it is a SafeLoader


def load_shipped_yaml(text: str) -> Any:
    """Load a document that ships with the program, eight times as fast where libyaml is: tests see that no key of it is
    written twice. Raises: yaml.YAMLError.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  it is a SafeLoader


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a second key where a mapping is as it was written: what `<<` merges may be overridden."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first_lines: dict[Hashable, int] = {}
        for key_node, _value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # no key: refused when it is made
            line = key_node.start_mark.line + 1
            key = key_node.value if key_node.tag == MERGE else self.construct_object(key_node)
            if key in first_lines:
                told = f"{key!r} is written twice, on line {first_lines[key]} and on line {line}; keep one of them"
                raise yaml.constructor.ConstructorError(None, None, told, key_node.start_mark)
            first_lines[key] = line
        return node
