"""On which of the GPU types that a job fits on it may run, and which it would rather have: the trade-off is its own."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple, Self


class Preference(StrEnum):
    """Which type a job would rather have: the cheapest that meets its date, or the fastest that it may cost."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"


class TypedRun(NamedTuple):
    """A job's run on one GPU type: half of such runs end within p50, nine of ten within p90.

    Units: GPU-seconds; `price_micros` is what a run of p90 costs its customer, tokens and all, in micro-yuan.
    """

    sku: str
    p50_seconds: int
    p90_seconds: int
    price_micros: int

    def scale(self, share: Fraction) -> Self:
        """Take a share of it, rounded up: what is left of a job must suffice."""
        return self._replace(**{name: -(-getattr(self, name) * share // 1) for name in self._fields[1:]})

    def to_json(self) -> dict[str, Any]:
        return self._asdict()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises: KeyError, TypeError."""
        return cls(*(written[name] for name in cls._fields))


def order_runs(runs: Iterable[TypedRun], preference: Preference) -> list[TypedRun]:
    """Order runs by what is preferred, the best first; among equals the other of price and time decides, then the name.

    With one price on every type the cheapest is the fastest.
    """
    if preference is Preference.CHEAPEST:
        return sorted(runs, key=lambda run: (run.price_micros, run.p90_seconds, run.sku))
    return sorted(runs, key=lambda run: (run.p90_seconds, run.price_micros, run.sku))


def keep_affordable(runs: Sequence[TypedRun], most_micros: int) -> list[TypedRun]:
    """Keep the runs that a sum pays for to the end; where it does for none, all: each goes as far as the sum reaches.

    Units: micro-yuan.
    """
    return [run for run in runs if run.price_micros <= most_micros] or list(runs)


def keep_timely(
    runs: Iterable[TypedRun], seconds_left: int, waits: Mapping[str, int] | None = None, gpus: int = 1
) -> list[TypedRun]:
    """Keep the runs of which nine of ten end in time; `waits` are how long each type is expected to be waited for.

    Units: seconds; `gpus` are used at one time.
    """
    return [run for run in runs if find_seconds_to_end(run, waits, gpus) <= seconds_left]


def count_as_on(sku: str, used: Mapping[str | None, int], runs: Iterable[TypedRun]) -> int:
    """Count GPU-seconds that were used on several types as those that the same work takes on one of them, rounded up.

    `used` is by type; what was used on one that is none of the runs counts as it is.
    """
    lengths = {run.sku: run.p90_seconds for run in runs}
    return sum(
        -(-seconds * lengths[sku] // lengths[on]) if on in lengths and sku in lengths else seconds
        for on, seconds in used.items()
    )


def find_seconds_to_end(run: TypedRun, waits: Mapping[str, int] | None = None, gpus: int = 1) -> int:
    """Find within how many seconds nine of ten such runs have ended, the wait before them counted."""
    return -(-run.p90_seconds // gpus) + (waits or {}).get(run.sku, 0)
