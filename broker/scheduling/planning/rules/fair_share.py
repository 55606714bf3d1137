"""What a contract used lately: older usage counts less, by half after each half-life. Pure.

Nothing is lost however small it is: usage is kept as it was at one fixed moment, in whole 2^-40 of a GPU-second, and
decays when it is read. (Sums that are decayed and rounded at every step never see what is below their last digit.)
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

HALF_LIFE = timedelta(days=7)
FINEST = 2**40
MICROSECONDS = 10**6


def compute_weight(age: timedelta, half_life: timedelta) -> Fraction:
    """Compute what usage of that age counts: 1 now, a half after one half-life. Below zero: it grows.

    Whole half-lives are exact; what is between them is a float of 53 bits.
    """
    whole, rest = divmod(age, half_life)
    part = Fraction(2.0 ** -(rest / half_life))
    return part * Fraction(2) ** -whole


@dataclass
class DecayedUsage:
    """One contract's usage. `since` is the moment to which it is kept; all contracts are compared at one moment."""

    since: datetime
    half_life: timedelta = HALF_LIFE
    kept: int = field(default=0)

    def add(self, gpu_seconds: int | Fraction, at: datetime) -> None:
        """Add what was used at a moment. Units: GPU-seconds."""
        self.kept += round(gpu_seconds * FINEST * compute_weight(self.since - at, self.half_life))

    def read(self, now: datetime) -> int:
        """Read what it counts now. Units: GPU-microseconds."""
        return round(Fraction(self.kept * MICROSECONDS, FINEST) * compute_weight(now - self.since, self.half_life))
