"""Identifiers: a typed prefix and a ULID, so that ids of one kind sort by the time they were made.

A ULID (https://github.com/ulid/spec) is 48 bits of milliseconds and 80 random bits, in Crockford's base 32; ours are in
lower case. A submission makes seven, so they are made by a dozen look-ups in a table of pairs of digits.
"""

import os
import time
from collections.abc import Callable
from itertools import product
from threading import Lock

IdFactory = Callable[[str], str]

RANDOM_BITS = 80
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
PAIRS = ["".join(pair) for pair in product(DIGITS, repeat=2)]
PAIR_SHIFTS = range(120, -1, -10)  # 26 digits of 5 bits; the first two of the 130 are always 0


class UlidSequence:
    """Makes ULIDs that only grow: one of the same millisecond, or of a clock set back, follows on the last."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._last = 0
        self._lock = Lock()

    def next(self) -> str:
        fresh = (self._now_ns() // 1_000_000) << RANDOM_BITS | int.from_bytes(os.urandom(RANDOM_BITS // 8))
        with self._lock:
            follows = fresh >> RANDOM_BITS <= self._last >> RANDOM_BITS
            self._last = made = self._last + 1 if follows else fresh
        return "".join([PAIRS[made >> shift & 1023] for shift in PAIR_SHIFTS])


_ULIDS = UlidSequence()


def new_id(prefix: str) -> str:
    """Make an id of a kind: it sorts behind all that this process has made before."""
    return f"{prefix}_{_ULIDS.next()}"
