"""What a customer has committed to, what it has used of it, and what it will be charged for the rest: the true-up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pricing.money import Money, round_to_fen
from pricing.rating import price_usage
from pricing.usage import Unit


@dataclass(frozen=True)
class Attainment:
    """How far a commitment of one period is used. Units: GPU-seconds; yuan per GPU-hour."""

    committed: int
    used: int
    unit_price: Decimal

    @property
    def unused(self) -> int:
        return max(0, self.committed - self.used)

    @property
    def true_up(self) -> Money:
        """Price what is unused, once, half-even to the fen: what would be charged were the period over now.

        Source: a long-term contract pays for the hours that it committed to, used or not.
        """
        return round_to_fen(price_usage(Unit.GPU_SECONDS, self.unused, self.unit_price))

    def expect(self, more: int) -> "Attainment":
        """Expect that so many GPU-seconds more are used by the period's end."""
        return Attainment(self.committed, self.used + more, self.unit_price)


def compute_owed(years: Sequence[Attainment]) -> Money:
    """Compute what is owed for hours that were not used by the end of the last of some years of one commitment.

    What a year uses beyond its own counts for those after it. Hours that an earlier one was charged for and that are
    used later are not owed any more, at the price at which they were: those of the latest year first. So all that the
    years of a term are charged comes to the price of what the whole term did not use. Rounded once, half-even to the
    fen. Source: decision 0045.
    """
    owed: list[tuple[int, Decimal]] = []
    balance = 0
    for year in years:
        before, balance = max(0, balance), balance + year.committed - year.used
        _settle_year(owed, max(0, balance) - before, year.unit_price)
    exact = (price_usage(Unit.GPU_SECONDS, quantity, price) for quantity, price in owed)
    return round_to_fen(sum(exact, Fraction(0)))


def _settle_year(owed: list[tuple[int, Decimal]], change: int, unit_price: Decimal) -> None:
    """Owe so many GPU-seconds more at a price, or fewer of those that were owed last."""
    if change > 0:
        owed.append((change, unit_price))
    while change < 0:
        quantity, price = owed.pop()
        change += quantity
        if change > 0:
            owed.append((change, price))


def count_unused(years: Iterable[Attainment]) -> int:
    """Count what years of one commitment have not used of what they committed to together. Units: GPU-seconds."""
    return max(0, sum(year.committed - year.used for year in years))


def count_carried(years: Iterable[Attainment]) -> int:
    """Count what years of one commitment have used beyond what they committed to together. Units: GPU-seconds."""
    return max(0, sum(year.used - year.committed for year in years))
