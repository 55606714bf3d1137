"""Identifiers: a typed prefix and a ULID, so that ids of one kind sort by the time they were made."""

from collections.abc import Callable

from ulid import ULID

IdFactory = Callable[[str], str]


# Two digits of a ULID, ten bits: to write it one digit after the other took longer than all else about an id.
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
PAIRS = [first + second for first in DIGITS for second in DIGITS]
SHIFTS = range(120, -1, -10)


def new_id(prefix: str) -> str:
    """Make a new id with this prefix."""
    return f"{prefix}_{write_ulid(ULID())}"


def write_ulid(ulid: ULID) -> str:
    """Write a ULID as its library does, in small letters."""
    value = int.from_bytes(ulid.bytes)
    return "".join([PAIRS[value >> shift & 1023] for shift in SHIFTS])


def relate_id(prefix: str, known_id: str) -> str:
    """Make the id of what there is once for another thing: with its ULID, so that both are seen to belong together."""
    return f"{prefix}_{known_id.partition('_')[2]}"
