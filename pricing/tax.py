"""Tax of the issuing entity on what it charges: none, on top or included; rounded once for each document. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from pricing.money import Money, round_to_fen


class TaxMode(StrEnum):
    """What the amounts of a document are before tax: all of it, or what is left once the tax in them is taken out."""

    NONE = "none"
    ON_TOP = "on_top"
    INCLUDED = "included"


@dataclass(frozen=True)
class Tax:
    """How an issuing entity's documents are taxed. `rate` is a share of the net amount: 0.06 is 6 %."""

    mode: TaxMode = TaxMode.NONE
    rate: Decimal = Decimal(0)

    def compute(self, amount: Money) -> Money:
        """Compute the tax on what a document charges, once, half-even to the fen.

        On top it is the rate's share of the amount; included it is what the amount holds of it. Below zero, as for what
        is taken back, it is below zero too.
        """
        rate = Fraction(self.rate)
        share = {TaxMode.NONE: Fraction(0), TaxMode.ON_TOP: rate, TaxMode.INCLUDED: rate / (1 + rate)}[self.mode]
        return round_to_fen(Fraction(amount.to_decimal()) * share, amount.currency)

    def take_out(self, amount: Money) -> Money:
        """Take the tax out of an amount at the document's prices: what is left of it is earned."""
        return amount - self.compute(amount) if self.mode == TaxMode.INCLUDED else amount


NO_TAX = Tax()
