"""Rounding of what is invoiced: each rate segment once, its lines by largest remainder, so that they add up to it.

What comes back of a line that was invoiced is a share of its amount as it was rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from pricing.money import DEFAULT_CURRENCY, FEN_PER_UNIT, MICROS_PER_FEN, Money, divide_half_even, round_to_fen


@dataclass(frozen=True)
class ExactLine:
    """One line of a rate segment before it is rounded, exact in units of the currency.

    `leads`: it was the segment's first line, so its customer's promise was compared with it as rounded, not as lifted.
    """

    exact: Fraction
    leads: bool = False

    @property
    def most(self) -> Money:
        """Tell the most that the line may come to on an invoice: lifted to the next fen.

        A leading line is lifted from half a fen on: below that the segment's sum never needs its fen, since every other
        line can be lifted first. So whoever compares a promise with `most` is never invoiced more than was promised.
        """
        fen, rest = divmod(self.exact.numerator * FEN_PER_UNIT, self.exact.denominator)
        return Money((fen + _lifts(self, rest, self.exact.denominator)) * MICROS_PER_FEN)


def round_segment(lines: Sequence[ExactLine], currency: str = DEFAULT_CURRENCY) -> list[Money]:
    """Round a rate segment once, half-even to the fen, and share it among its lines by largest remainder.

    Lines come in the order in which equal remainders are lifted, and no exact amount is below zero. Each line is its
    exact amount rounded down or up to a fen, their sum is the rounded sum of the exact amounts, and none is above its
    `most`, as long as at most one of them leads.
    Source: DESIGN, decision 17.
    """
    fen, rests, whole = _round_down([line.exact for line in lines])
    total = divide_half_even(sum(fen) * whole + sum(rests), whole)
    order = sorted(range(len(lines)), key=lambda place: (not _lifts(lines[place], rests[place], whole), -rests[place]))
    return _lift(fen, order, total, currency)


def share_amount(amount: Money, exact: Sequence[Fraction]) -> list[Money]:
    """Share an amount in whole fen among the parts of what it was rounded from, by largest remainder.

    It is the sum of the exact parts, rounded down or up. Equal remainders are lifted in the parts' order; each part is
    its exact amount rounded down or up to a fen.
    """
    fen, rests, _whole = _round_down(exact)
    order = sorted(range(len(exact)), key=lambda place: -rests[place])
    return _lift(fen, order, amount.micros // MICROS_PER_FEN, amount.currency)


def _round_down(exact: Sequence[Fraction]) -> tuple[list[int], list[int], int]:
    """Round amounts down to whole fen; the second list has what is left of each, in parts of a fen of the last size.

    In whole numbers of one divisor, which lines of one price mostly share: fractions would be reduced at every step.
    """
    whole = lcm(*(each.denominator for each in exact))
    split = [divmod(each.numerator * (whole // each.denominator) * FEN_PER_UNIT, whole) for each in exact]
    return [fen for fen, _rest in split], [rest for _fen, rest in split], whole


def _lift(fen: list[int], order: Sequence[int], total: int, currency: str) -> list[Money]:
    """Lift amounts by a fen each, in this order of their places, until they add up to the total."""
    lifted = set(order[: total - sum(fen)])
    return [Money((count + (place in lifted)) * MICROS_PER_FEN, currency) for place, count in enumerate(fen)]


def _lifts(line: ExactLine, rest: int, whole: int) -> bool:
    """Tell whether a line may be lifted to its next fen, of which it has so many parts of the whole."""
    return 2 * rest >= whole if line.leads else rest > 0


@dataclass(frozen=True)
class InvoicedLine:
    """A line as an invoice has it. Units: GPU-seconds or tokens; `taken_back` are those that came back before.

    `credited` is what of its amount was given back otherwise: by credit notes, or since it will never be paid.
    """

    quantity: int
    amount: Money
    taken_back: int = 0
    credited: Money | None = None


def share_taken_back(line: InvoicedLine, quantity: int) -> Money:
    """Compute what comes back for so many more units of an invoiced line, in whole fen.

    What came back of a line is always its amount's share of the units that did, rounded once, half-even. So all of its
    units bring back just what was charged for them, in however many parts, and never more. What was credited is given
    back already: both together never come to more than the line.
    Raises: ValueError, for units that the line does not have any more.
    Source: decision 0027.
    """
    if not 0 <= quantity <= line.quantity - line.taken_back:
        raise ValueError(f"{quantity} units cannot come back of {line.quantity - line.taken_back}")
    return _give_back(line, line.taken_back + quantity) - _give_back(line, line.taken_back)


def _give_back(line: InvoicedLine, quantity: int) -> Money:
    share = _share_of_line(line, quantity)
    return share if line.credited is None else min(share, max(line.amount - line.credited, Money.zero()))


def _share_of_line(line: InvoicedLine, quantity: int) -> Money:
    if quantity == 0:
        return Money.zero(line.amount.currency)
    return round_to_fen(Fraction(line.amount.to_decimal()) * Fraction(quantity, line.quantity), line.amount.currency)
