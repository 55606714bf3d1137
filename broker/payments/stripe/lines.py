"""The lines of an invoice as Stripe gets them: our own amounts in fen, at most 250. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pricing.money import MICROS_PER_FEN

MOST_LINES = 250
# Stripe takes at most eight digits for an amount.
MOST_FEN = 99_999_999
LONGEST_DESCRIPTION = 500


@dataclass(frozen=True)
class BilledLine:
    """A line of our invoice, as far as Stripe is told of it. Units: micro-yuan, whole fen; `unit_price` as written."""

    kind: str
    description: str
    amount_micros: int
    meter: str | None = None
    unit_price: str | None = None
    used_month: str | None = None
    quantity: int | None = None

    @property
    def fen(self) -> int:
        fen, rest = divmod(self.amount_micros, MICROS_PER_FEN)
        assert rest == 0, "a line has whole fen"
        return fen


@dataclass(frozen=True)
class SentLine:
    """A line that is sent. Units: fen."""

    description: str
    amount_fen: int

    def to_params(self) -> dict[str, Any]:
        return {"amount": self.amount_fen, "description": self.description}


@dataclass(frozen=True)
class SentLines:
    """All lines that are sent; `is_summary`: one for each rate segment, the jobs are on our own list."""

    lines: tuple[SentLine, ...]
    is_summary: bool

    @property
    def total_fen(self) -> int:
        return sum(line.amount_fen for line in self.lines)


Segment = tuple[str | None, ...]
# From fine to coarse: the first under which there are few enough lines is taken.
SEGMENTS: tuple[Callable[[BilledLine], Segment], ...] = (
    lambda line: (line.kind, line.meter, line.unit_price, line.used_month),
    lambda line: (line.kind, line.meter, line.unit_price),
    lambda line: (line.kind, line.meter),
)


def plan_lines(lines: Iterable[BilledLine], due_fen: int) -> SentLines:
    """Plan the lines that ask for what is due: each of ours, or one for each rate segment where they are too many.

    What is paid or credited of the invoice already is a line of its own, so that they add up to what is due.
    """
    billed = list(lines)
    settled = sum(line.fen for line in billed) - due_fen
    rest = (SentLine("Paid or credited before", -settled),) if settled else ()
    if len(billed) + len(rest) <= MOST_LINES:
        each = tuple(SentLine(line.description[:LONGEST_DESCRIPTION], line.fen) for line in billed)
        return SentLines(each + rest, is_summary=False)
    return SentLines(_sum_segments(billed, MOST_LINES - len(rest)) + rest, is_summary=True)


def _sum_segments(lines: Sequence[BilledLine], most: int) -> tuple[SentLine, ...]:
    for find_segment in SEGMENTS:
        segments: dict[Segment, list[BilledLine]] = defaultdict(list)
        for line in lines:
            segments[find_segment(line)].append(line)
        if len(segments) <= most:
            break
    return tuple(SentLine(_describe(segment, of), sum(line.fen for line in of)) for segment, of in segments.items())


def _describe(segment: Segment, lines: Sequence[BilledLine]) -> str:
    kind, meter, *more = segment
    words = [kind.replace("_", " ").capitalize() if kind else "", meter or ""]
    quantities = [line.quantity for line in lines if line.quantity is not None]
    if meter is not None and quantities:
        words.append(str(sum(quantities)))
    if more and more[0] is not None:
        words.append(f"at {more[0]}")
    words += [f"of {month}" for month in more[1:] if month is not None]
    count = len(lines)
    return f"{' '.join(word for word in words if word)} ({count} line{'' if count == 1 else 's'})"
