"""Identifiers: a typed prefix and a ULID, so that ids of one kind sort by the time they were made."""

from collections.abc import Callable

from ulid import ULID

IdFactory = Callable[[str], str]


def new_id(prefix: str) -> str:
    return f"{prefix}_{str(ULID()).lower()}"
