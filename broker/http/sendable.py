"""What a request said, as an answer can say it again: some of it is no Unicode, or is longer than anyone reads."""

from typing import Any

MOST_CHARACTERS = 4_000


def write_sendable(text: str) -> str:
    """Write half a surrogate pair, which no answer can have, as its number, and cut what is too long."""
    shown = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    return shown.encode("utf-8", "backslashreplace").decode()


def make_sendable(value: Any) -> Any:
    """Make all texts of a document sendable; what is neither text nor holds any stays as it is."""
    if isinstance(value, str):
        return write_sendable(value)
    if isinstance(value, dict):
        return {write_sendable(name): make_sendable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [make_sendable(inner) for inner in value]
    return value
