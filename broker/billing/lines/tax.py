"""The last part of every invoice: tax on top of its other lines, rounded once."""

from collections.abc import Sequence

from broker.billing.model import DraftLine, LineKind, sum_lines
from pricing.money import Money
from pricing.tax import Tax, TaxMode


def tax_lines(tax: Tax, lines: Sequence[DraftLine]) -> list[DraftLine]:
    """Draft the line of tax on top of these lines; where it is included, or there is none, there is no such line."""
    if tax.mode != TaxMode.ON_TOP or not lines:
        return []
    percent = format((tax.rate * 100).normalize(), "f")
    return [DraftLine(LineKind.TAX, f"Tax {percent} %", tax.compute(sum_lines(lines)))]


def sum_tax(tax: Tax, lines: Sequence[DraftLine]) -> Money:
    """Sum up the tax in an invoice's lines: that of its own line on top, or what is included in all of them."""
    if tax.mode == TaxMode.INCLUDED:
        return tax.compute(sum_lines(lines))
    return sum_lines(line for line in lines if line.kind == LineKind.TAX)
