"""Identifiers: a typed prefix and a ULID, so that ids of one kind sort by the time they were made.

A ULID is 48 bits of time in milliseconds and 80 random ones, written in Crockford's base 32. Of one millisecond each is
one more than that before it, so that ids of one process sort as they were made.
Source: https://github.com/ulid/spec.
"""

import os
import time
from collections.abc import Callable
from itertools import product
from threading import Lock

IdFactory = Callable[[str], str]

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
# Two digits are looked up at once: a request makes several ids.
PAIRS = ["".join(pair) for pair in product(DIGITS, repeat=2)]
TIME_BITS, RANDOM_BITS, PAIR_BITS = 50, 80, 10
MOST_RANDOM = (1 << RANDOM_BITS) - 1
NANOSECONDS = 1_000_000  # of a millisecond


class UlidMaker:
    """Makes ULIDs of a clock and a source of random bytes; several threads may share it."""

    def __init__(
        self, clock: Callable[[], int] = time.time_ns, draw_random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.clock, self.draw_random, self.lock = clock, draw_random, Lock()
        self.moment, self.random, self.written_moment = -1, 0, ""

    def make(self) -> str:
        """Make the next ULID, in small letters."""
        with self.lock:
            moment = self.clock() // NANOSECONDS
            if moment == self.moment:
                self.random = self.random + 1 & MOST_RANDOM
            else:
                self.moment, self.written_moment = moment, write_digits(moment, TIME_BITS)
                self.random = int.from_bytes(self.draw_random(RANDOM_BITS // 8))
            return self.written_moment + write_digits(self.random, RANDOM_BITS)


def write_ulid(moment: int, random: int) -> str:
    """Write the ULID of a time (milliseconds since 1970) and a random number (80 bits), in small letters."""
    return write_digits(moment, TIME_BITS) + write_digits(random, RANDOM_BITS)


def write_digits(number: int, bits: int) -> str:
    """Write a number of so many bits, a multiple of ten, in base 32."""
    return "".join([PAIRS[number >> place & 1023] for place in range(bits - PAIR_BITS, -1, -PAIR_BITS)])


ULIDS = UlidMaker()


def new_id(prefix: str) -> str:
    return f"{prefix}_{ULIDS.make()}"


def relate_id(prefix: str, known_id: str) -> str:
    """Make the id of what there is once for another thing: with its ULID, so that both are seen to belong together."""
    return f"{prefix}_{known_id.partition('_')[2]}"
