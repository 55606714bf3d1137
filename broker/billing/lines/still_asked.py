"""What is still to be asked for unused hours, after what was asked before and what became of it. Pure."""

from dataclasses import dataclass
from fractions import Fraction

from pricing.money import Money, round_to_fen


def compute_more(owed: Money, billed: Money, given_up: Money) -> Money:
    """Compute what is still to be asked for unused hours; below zero it is given back. Pure.

    What credit notes have taken back and what was written off is not asked for again, and not given back where hours
    are used later: nobody has paid it. Of what was billed only what goes beyond it is. Source: decision 0045.
    """
    return max(owed, given_up) - billed


@dataclass(frozen=True)
class BilledTrueUp:
    """A final invoice's line for unused hours, and what became of it and of the whole invoice, with its tax."""

    amount: Money
    credited: Money
    total: Money
    all_credited: Money
    all_written_off: Money


def compute_given_up(line: BilledTrueUp) -> Money:
    """Compute what of a line was taken back by credit notes, or will never be paid. Pure.

    A write-off is of an invoice: each of its lines has its share of it, of what credit notes have left, to the fen.
    """
    left, whole = line.amount - line.credited, line.total - line.all_credited
    if left.micros <= 0 or whole.micros <= 0:
        return line.credited
    share = Fraction(line.all_written_off.to_decimal()) * Fraction(left.micros, whole.micros)
    return line.credited + min(left, round_to_fen(share))
