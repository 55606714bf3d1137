"""What a credit note takes back of an invoice: never more than is left of a line, nor of the whole. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from broker import errors
from broker.billing.model import LineKind
from pricing.money import MICROS_PER_FEN, Money, round_to_fen
from pricing.tax import TaxMode


@dataclass(frozen=True)
class CreditedLine:
    """What is to be taken back of an invoice's line, named by its position."""

    position: int
    amount: Money


@dataclass(frozen=True)
class BilledLine:
    """A line of the invoice, and what earlier credit notes, and corrections of its month, have taken back of it."""

    kind: LineKind
    amount: Money
    credited: Money
    taken_back: Money = field(default_factory=Money.zero)

    @property
    def left(self) -> Money:
        """What can be credited of it still."""
        return max(Money.zero(), self.amount - self.credited - self.taken_back)


@dataclass(frozen=True)
class BilledInvoice:
    """An invoice as crediting sees it: its lines by position, how it was taxed, and the tax in its total.

    `refunded` is what was owed back for units that it had paid for, as its lines say it: without a tax on top.
    """

    lines: Mapping[int, BilledLine]
    tax_mode: TaxMode
    tax: Money
    refunded: Money = field(default_factory=Money.zero)

    @property
    def base(self) -> Money:
        """What its lines come to without a line of tax on top: the most that credit notes take back of them."""
        return _sum(line.amount for line in self.lines.values() if line.kind != LineKind.TAX)

    @property
    def credited(self) -> Money:
        return _sum(line.credited for line in self.lines.values())

    @property
    def left(self) -> Money:
        """What neither credit notes, refunds nor later months' invoices have given back: never below zero."""
        return max(Money.zero(), self.base - self.credited - self.refunded - self.taken_back)

    @property
    def taken_back(self) -> Money:
        return _sum(line.taken_back for line in self.lines.values())

    @property
    def taken_back_with_tax(self) -> Money:
        """What later months' invoices have given back of it, with its share of a tax on top."""
        taken_back = self.taken_back
        on_top = self.tax_mode == TaxMode.ON_TOP and bool(taken_back.micros)
        return taken_back + _share_tax(self, taken_back) if on_top else taken_back


@dataclass(frozen=True)
class CreditSums:
    """What a credit note comes to, and the tax in that."""

    total: Money
    tax: Money


def plan_credit(invoice: BilledInvoice, lines: Sequence[CreditedLine]) -> CreditSums:
    """Plan what a credit note comes to. The tax follows the share of the lines, so that all of them bring back all.

    Raises: InvalidRequest, naming each line at fault.
    """
    faults = list(_find_faults(invoice, lines))
    if faults:
        raise errors.InvalidRequest(f"{faults[0].field}: {faults[0].message}", errors=faults)
    amount = _sum(line.amount for line in lines)
    before, after = invoice.credited, invoice.credited + amount
    tax = _share_tax(invoice, after) - _share_tax(invoice, before)
    return CreditSums(amount + tax if invoice.tax_mode == TaxMode.ON_TOP else amount, tax)


def list_all_left(invoice: BilledInvoice) -> list[CreditedLine]:
    """List what takes back all that is left of an invoice, its first lines first. Pure.

    What some lines take off the others is not given back: together it comes to what is left of the whole.
    """
    left, found = invoice.left, []
    for position, line in sorted(invoice.lines.items()):
        amount = min(line.left, left)
        if line.kind != LineKind.TAX and amount.micros > 0:
            found.append(CreditedLine(position, amount))
            left -= amount
    return found


def _share_tax(invoice: BilledInvoice, credited: Money) -> Money:
    share = Fraction(credited.micros, invoice.base.micros)
    return round_to_fen(Fraction(invoice.tax.to_decimal()) * share)


def _find_faults(invoice: BilledInvoice, lines: Sequence[CreditedLine]) -> Iterator[errors.FieldError]:
    seen: set[int] = set()
    for index, line in enumerate(lines):
        fault = _find_fault(invoice, line)
        if line.position in seen:
            fault = errors.FieldError("position", "names a line that is named before; put the two amounts together")
        if fault is not None:
            yield errors.FieldError(f"lines.{index}.{fault.field}", fault.message)
        seen.add(line.position)
    asked = _sum(line.amount for line in lines)
    if asked > invoice.left:
        told = f"come to {asked}; {invoice.left} of the invoice is left to be credited"
        yield errors.FieldError("lines", told)


def _find_fault(invoice: BilledInvoice, line: CreditedLine) -> errors.FieldError | None:
    billed = invoice.lines.get(line.position)
    if billed is None:
        return errors.FieldError("position", f"is no line of the invoice; it has 1 to {len(invoice.lines)}")
    if billed.kind == LineKind.TAX:
        return errors.FieldError("position", "is tax, which follows the other lines by itself; name those")
    if line.amount.micros % MICROS_PER_FEN:
        return errors.FieldError("amount", "must be whole fen: two decimal places at most")
    if line.amount > billed.left:
        return errors.FieldError("amount", f"is more than is left of the line: {billed.left}")
    return None


def _sum(amounts: Iterator[Money]) -> Money:
    return sum(amounts, Money.zero())
