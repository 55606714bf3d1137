"""Numbers as people read them, in their language: money, hours, tokens, bytes, moments. Exact: no amount is a float.

Each takes None for what is not known and writes a dash; the template says why beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_currency, format_decimal, format_percent

from broker.http.languages import Language
from pricing.money import DEFAULT_CURRENCY, MICROS_PER_FEN, MICROS_PER_UNIT, Money

DASH = "—"
SECONDS_PER_HOUR = 3600
Number = int | Decimal | Fraction


@dataclass(frozen=True)
class Formats:
    """How one language writes numbers; moments are told in the time zone of the house."""

    language: Language
    time_zone: str

    @property
    def locale(self) -> Locale:
        return Locale(self.language)

    def money(self, amount: Money | int | str | None, currency: str | None = None) -> str:
        """Write an amount, given as money or in whole micro-units: to the fen, or where it has more to the micro-unit.

        Two lengths alone, so that amounts of a kind stand under each other. A text is an amount as the API writes it.

        `currency` is that of a bare number; CNY where it is not named.
        """
        if amount is None:
            return DASH
        if isinstance(amount, int):
            amount = Money(amount, currency or DEFAULT_CURRENCY)
        if isinstance(amount, str):
            amount = Money.from_decimal(amount, currency or DEFAULT_CURRENCY)
        whole = abs(amount.micros) % MICROS_PER_UNIT
        places = 6 if whole % MICROS_PER_FEN else 2
        pattern = f"¤#,##0.{'0' * places}"
        return format_currency(
            amount.to_decimal(), amount.currency, f"{pattern};-{pattern}", self.language, currency_digits=False
        ).replace("CN¥", "¥")

    def number(self, value: Number | None, places: int = 0) -> str:
        """Write a number with so many places, rounded half-even once."""
        if value is None:
            return DASH
        rounded = round_half_even(value, places)
        return format_decimal(rounded, "#,##0" + ("." + "0" * places if places else ""), self.language)

    def hours(self, gpu_seconds: Number | None, places: int = 2) -> str:
        """Write GPU-seconds as GPU-hours, without the unit."""
        if gpu_seconds is None:
            return DASH
        return self.number(Fraction(gpu_seconds) / SECONDS_PER_HOUR, places)

    def percent(self, share: Number | None, places: int = 1) -> str:
        """Write a share of one as per cent."""
        if share is None:
            return DASH
        rounded = round_half_even(Fraction(share), places + 2)
        return format_percent(rounded, "#,##0" + ("." + "0" * places if places else "") + "%", self.language)

    def data_size(self, size_bytes: int | None) -> str:
        """Write a size in the unit (1024 steps) that leaves it below 1024."""
        if size_bytes is None:
            return DASH
        value, unit = Fraction(size_bytes), "B"
        for larger in ("KiB", "MiB", "GiB", "TiB"):
            if value < 1024:
                break
            value, unit = value / 1024, larger
        return f"{self.number(value, 0 if unit == 'B' else 1)} {unit}"

    def moment(self, moment: datetime | None) -> str:
        """Write a moment to the minute, in the time zone of the house."""
        if moment is None:
            return DASH
        return format_datetime(moment, "yyyy-MM-dd HH:mm", ZoneInfo(self.time_zone), self.language)

    def clock(self, moment: datetime | None) -> str:
        """Write the time of day of a moment, to the second."""
        return DASH if moment is None else format_time(moment, "HH:mm:ss", ZoneInfo(self.time_zone), self.language)

    def day(self, day: date | datetime | None) -> str:
        if day is None:
            return DASH
        if isinstance(day, datetime):
            day = day.astimezone(ZoneInfo(self.time_zone)).date()
        return format_date(day, "yyyy-MM-dd", self.language)

    def duration(self, seconds: float | Fraction | Decimal | None) -> str:
        """Write a length of time in its largest unit: `3 hours`, `12 days`."""
        if seconds is None:
            return DASH
        return format_timedelta(timedelta(seconds=float(seconds)), threshold=1.5, locale=self.language)

    def ago(self, moment: datetime | None, now: datetime) -> str:
        """Write how long ago a moment was, or how far ahead it is: `3 hours ago`, `in 2 days`."""
        if moment is None:
            return DASH
        return format_timedelta(moment - now, threshold=1.5, add_direction=True, locale=self.language)

    def list_filters(self) -> Mapping[str, Callable[..., str]]:
        """List what templates call by these names: `{{ cost | money }}`."""
        return {
            "money": self.money,
            "number": self.number,
            "hours": self.hours,
            "tokens": self.number,
            "percent": self.percent,
            "data_size": self.data_size,
            "moment": self.moment,
            "clock": self.clock,
            "day": self.day,
            "duration": self.duration,
            "ago": self.ago,
        }


def round_half_even(value: Number, places: int) -> Decimal:
    """Round an exact number to so many decimal places, half-even."""
    scale = 10**places
    if isinstance(value, Decimal):
        return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return Decimal(round(Fraction(value) * scale)).scaleb(-places)
