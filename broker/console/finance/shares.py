"""Amounts beside each other as horizontal bars: the longest is the whole width. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pricing.money import Money


@dataclass(frozen=True)
class ShareBar:
    """A bar with its name (None: of none) and where it leads; `width` is in per cent of the longest."""

    name: str | None
    amount: Money
    width: float
    share: Fraction | None
    href: str | None = None


def place_shares(rows: Iterable[tuple[str | None, Money, str | None]], *, most: int = 12) -> Sequence[ShareBar]:
    """Place bars of names, amounts and addresses, the largest first; so many at most."""
    ordered = sorted(rows, key=lambda row: (-row[1].micros, row[0] or ""))
    longest = max((abs(amount.micros) for _name, amount, _href in ordered), default=0)
    total = sum(amount.micros for _name, amount, _href in ordered)
    return [
        ShareBar(
            name,
            amount,
            round(100 * max(0, amount.micros) / longest, 2) if longest else 0.0,
            Fraction(amount.micros, total) if total else None,
            href,
        )
        for name, amount, href in ordered[:most]
    ]
