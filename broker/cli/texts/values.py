"""Values in words: sums, times, durations, sizes. Pure."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from broker.cli.words import say, speaks_chinese, translate
from broker.client.objects.values import Moments, Money

FEN = Decimal("0.01")
MINUTE, HOUR, DAY = 60, 3600, 86_400
DASH = "–"
AGO = ((DAY, "{count} d ago"), (HOUR, "{count} h ago"), (MINUTE, "{count} min ago"))


def describe_money(money: Money | None) -> str:
    """Describe a sum exactly, with its currency; one that is missing is told as that, never as 0."""
    if money is None:
        return say("not priced")
    return f"{money['amount']} {money['currency']}"


def describe_fen(money: Money | None) -> str:
    """Describe a sum to the fen, for a column; one that is less, and something, says so, and so does none."""
    if money is None:
        return DASH
    exact = Decimal(money["amount"])
    rounded = exact.quantize(FEN, ROUND_HALF_EVEN)
    return "<0.01" if exact and not rounded else f"{rounded:f}"


def describe_sums(low: Money, high: Money) -> str:
    """Describe a range of sums; one sum where both are the same."""
    if low["amount"] == high["amount"]:
        return describe_money(low)
    return say("{low} to {high}", low=low["amount"], high=describe_money(high))


def describe_hours(hours: Any) -> str:
    """Describe a range of GPU-hours; one figure where both are the same."""
    if hours["p50"] == hours["p90"]:
        return str(hours["p50"])
    return say("{low} to {high}", low=hours["p50"], high=hours["p90"])


def describe_count(count: int, noun: str) -> str:
    """Describe so many of something: `1 step`, `12,840 tokens`; the noun in Chinese has its measure word."""
    if speaks_chinese():
        return f"{count:,} {translate(noun)}"
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def parse_moment(written: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(written).astimezone(UTC)


def describe_duration(seconds: float) -> str:
    """Describe a duration in at most two units, rounded down."""
    whole = int(max(0, seconds))
    if whole < MINUTE:
        return say("{seconds} s", seconds=whole)
    if whole < HOUR:
        minutes, rest = divmod(whole, MINUTE)
        long = say("{minutes} min", minutes=minutes)
        return f"{long} {say('{seconds} s', seconds=rest)}" if minutes < 10 and rest else long
    if whole < DAY:
        hours, minutes = whole // HOUR, whole % HOUR // MINUTE
        long = say("{hours} h", hours=hours)
        return f"{long} {say('{minutes} min', minutes=minutes)}" if minutes else long
    days, hours = whole // DAY, whole % DAY // HOUR
    return f"{describe_count(days, 'day')} {say('{hours} h', hours=hours)}" if hours else describe_count(days, "day")


def describe_ago(written: str, now: datetime) -> str:
    """Describe how long ago something was, in one unit."""
    seconds = int((now - parse_moment(written)).total_seconds())
    if seconds < 10:
        return say("just now")
    for length, told in AGO:
        if seconds >= length:
            return say(told, count=seconds // length)
    return say("{count} s ago", count=seconds)


def describe_local(written: str, now: datetime) -> str:
    """Describe a time by the clock of this machine, with the day where that is not today."""
    local, today = parse_moment(written).astimezone(), now.astimezone()
    clock = f"{local:%H:%M}"
    if local.date() == today.date():
        return clock
    year = "" if local.year == today.year else f" {local.year}"
    if speaks_chinese():
        return f"{f'{local.year}年' if year else ''}{local.month}月{local.day}日 {clock}"
    return f"{local.day} {local:%b}{year} {clock}"


def describe_wait(moments: Moments, now: datetime) -> str:
    """Describe how far away a range of times is: `in 3 min to 9 min (23:44 to 23:50)`."""
    low, high = (parse_moment(moments["p50"]), parse_moment(moments["p90"]))
    if high <= now:
        return say("any moment now")
    near, far = (describe_duration((each - now).total_seconds()) for each in (low, high))
    clocks = sorted({moments["p50"], moments["p90"]})
    local = list(dict.fromkeys(describe_local(each, now) for each in clocks))
    distance = near if near == far else say("{low} to {high}", low=near, high=far)
    clock = local[0] if len(local) == 1 else say("{low} to {high}", low=local[0], high=local[1])
    return say("in {distance} ({clock})", distance=distance, clock=clock)


def describe_span(started: str, ended: str | None, now: datetime) -> str:
    """Describe how long something took, or has taken up to now."""
    end = now if ended is None else parse_moment(ended)
    return describe_duration((end - parse_moment(started)) / timedelta(seconds=1))


def describe_size(size_bytes: int) -> str:
    """Describe a size in the unit that leaves few digits; 1 MiB is 1024 KiB."""
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):  # noqa: B007 (the unit that it ends with is the one)
        if size < 1024:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
