"""Identifiers: a typed prefix and a ULID, so that ids of one kind sort by the time they were made."""

from collections.abc import Callable

from ulid import ULID

IdFactory = Callable[[str], str]


def new_id(prefix: str) -> str:
    return f"{prefix}_{str(ULID()).lower()}"


def relate_id(prefix: str, known_id: str) -> str:
    """Make the id of what there is once for another thing: with its ULID, so that both are seen to belong together."""
    return f"{prefix}_{known_id.partition('_')[2]}"
