"""What would start a waiting job sooner, and for how much more or less. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.capacity.start_forecasts import ExpectedStart
from pricing.estimate.type_choice import TypedRun
from pricing.money import MICROS_PER_UNIT, Money

# A start that is earlier by less is not worth a change.
LEAST_GAIN = timedelta(minutes=1)
MICROS_PER_FEN = MICROS_PER_UNIT // 100


@dataclass(frozen=True)
class SoonerStart:
    """A GPU type that a waiting job does not accept, on which it would start sooner than it is expected to.

    `extra` is what more it costs there (below zero: less) than on the type that it would rather have: what is left of
    it, at p90, to the fen.
    """

    sku: str
    starts_at: datetime
    extra: Money
    is_now: bool

    @property
    def message(self) -> str:
        return f"on {self.sku} {self._when('now', 'at')}: {self._write_extra()} {self.extra.currency}"

    @property
    def message_zh(self) -> str:
        when = "现在即可开始" if self.is_now else f"预计 {self.starts_at:%m-%d %H:%M} UTC 开始"
        return f"改用 {self.sku} {when}：{self._write_extra()} 元"

    def _when(self, now: str, at: str) -> str:
        return now if self.is_now else f"{at} {self.starts_at:%m-%d %H:%M} UTC"

    def _write_extra(self) -> str:
        sign = "-" if self.extra.micros < 0 else "+"
        return f"{sign}{Money(abs(self.extra.micros)).format_amount()}"


def find_sooner(
    accepted: Iterable[TypedRun],
    others: Iterable[TypedRun],
    starts: Mapping[str, ExpectedStart],
    expected: datetime | None,
    now: datetime,
) -> list[SoonerStart]:
    """Find the types on which a job would start sooner than it is expected to (None: nobody knows when), the soonest
    first, then the cheapest.

    `accepted` has the one that it would rather have first; `starts` are those of a newcomer to its queue.
    """
    own = next(iter(accepted)).price_micros
    found = []
    for run in others:
        start = starts.get(run.sku)
        if start is None or start.p50 is None:
            continue
        at = max(start.p50, now)
        if expected is None or expected - at >= LEAST_GAIN:
            found.append(SoonerStart(run.sku, at, Money(round_to_fen(run.price_micros - own)), at - now < LEAST_GAIN))
    return sorted(found, key=lambda each: (each.starts_at, each.extra.micros, each.sku))


def round_to_fen(micros: int) -> int:
    """Round a difference of prices up to the fen: what is told is never too little."""
    return -(-micros // MICROS_PER_FEN) * MICROS_PER_FEN
