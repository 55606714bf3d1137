"""Examples of objects within others, made whole: where one names a few properties, the others are those of its schema.

So what a property shows of an object is written once, beside that object's own properties, and every example of the
document is one that its schema takes.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
REFERENCE = "#/components/schemas/"
# A schema that refers to itself ends here with as little as it takes.
DEEPEST = 8


def complete_examples(schemas: dict[str, Any]) -> None:
    """Complete the examples of all properties of these schemas, in place."""
    filling = _Filling(schemas)
    whole = {
        (name, key): [filling.fill(told, example) for example in told["examples"]]
        for name, schema in schemas.items()
        for key, told in schema.get("properties", {}).items()
        if isinstance(told.get("examples"), list)
    }
    for (name, key), examples in whole.items():
        schemas[name]["properties"][key]["examples"] = examples


class _Filling:
    """Fills examples in by the schemas of a document. It changes nothing."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self.schemas = schemas

    def fill(self, schema: Schema, example: Any, depth: int = 0) -> Any:
        """Fill in what an example lacks that its schema requires."""
        schema = self._choose(schema, example)
        if isinstance(example, list):
            return [self.fill(schema.get("items", {}), each, depth) for each in example]
        if not isinstance(example, dict) or depth > DEEPEST:
            return example
        own, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        named = {
            key: self.fill(own.get(key, others if isinstance(others, Mapping) else {}), value, depth + 1)
            for key, value in example.items()
        }
        missing = [key for key in schema.get("required", []) if key not in example and key in own]
        return named | {key: self._make(own[key], depth + 1) for key in missing}

    def _choose(self, schema: Schema, example: Any) -> Schema:
        """Choose what an example is an example of: the schema referred to, or one of several."""
        if "$ref" in schema:
            return self._choose(self.schemas.get(schema["$ref"].removeprefix(REFERENCE), {}), example)
        several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not several:
            return schema
        chosen = [self._choose(each, example) for each in several]
        return max(chosen, key=lambda each: _count_known(each, example))

    def _make(self, schema: Schema, depth: int) -> Any:
        """Make an example: the schema's own, its default or only value, or what it requires."""
        if isinstance(schema.get("examples"), list) and schema["examples"]:
            return self.fill(schema, schema["examples"][0], depth)
        for name in ("example", "default", "const"):
            if name in schema:
                return schema[name]
        if "enum" in schema:
            return schema["enum"][0]
        if "$ref" in schema:
            return self._make(self._choose(schema, {}), depth)
        return [] if schema.get("type") == "array" else self.fill(schema, {}, depth)


def _count_known(schema: Schema, example: Any) -> int:
    """Count how much of an example a schema knows; of the wrong kind of value, nothing."""
    if isinstance(example, dict):
        return 1 + len(example.keys() & schema.get("properties", {}).keys()) if _is_object(schema) else 0
    return int(isinstance(example, list) == (schema.get("type") == "array"))


def _is_object(schema: Schema) -> bool:
    return schema.get("type") == "object" or "properties" in schema
