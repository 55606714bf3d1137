"""Forms as the client writes them: `lines[0][amount]=5` is a list of objects., all of them text."""

from typing import Any
from urllib.parse import parse_qsl


def read_form(body: str) -> dict[str, Any]:
    """Read a form or a query string into nested dictionaries and lists."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        _put(root, [first, *rest], value)
    return {name: _as_lists(value) for name, value in root.items()}


def _put(into: dict[str, Any], path: list[str], value: str) -> None:
    name, *rest = path
    if rest:
        _put(into.setdefault(name, {}), rest, value)
    else:
        into[name] = value


def _as_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _as_lists(each) for name, each in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner
