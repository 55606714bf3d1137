"""What a customer has committed to, what it has used of it, and what it will be charged for the rest: the true-up."""

from dataclasses import dataclass
from decimal import Decimal

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
