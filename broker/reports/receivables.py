"""Receivables: what customers still owe of final invoices, by how long each is overdue."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sqlalchemy import select

from broker.billing.disputes import read_disputed
from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.identity import service as identity
from broker.identity.tables import Customer
from broker.work import Work
from pricing.money import Money


class Age(StrEnum):
    """How long after its last day to pay an invoice is open."""

    NOT_DUE = "not_due"
    TO_30 = "days_1_to_30"
    TO_60 = "days_31_to_60"
    TO_90 = "days_61_to_90"
    OVER_90 = "days_over_90"


# The last day of each age, in days after the day on which it was due.
LAST_DAYS = ((0, Age.NOT_DUE), (30, Age.TO_30), (60, Age.TO_60), (90, Age.TO_90))


@dataclass(frozen=True)
class OpenInvoice:
    """A final invoice of which something is due; `days_overdue` are counted in its contract's time zone.

    `disputed` is what of it its customer disputes: it is due, but makes nobody be in arrears until that is decided.
    """

    id: str
    number: str
    kind: str
    contract_id: str
    contract_number: str
    due_on: date | None
    days_overdue: int
    due: Money
    disputed: Money

    @property
    def age(self) -> Age:
        return find_age(self.days_overdue)


@dataclass(frozen=True)
class Receivable:
    """What one customer owes, the longest overdue first."""

    customer_id: str
    customer: str
    invoices: Sequence[OpenInvoice]

    @property
    def by_age(self) -> dict[Age, Money]:
        return sum_by_age(self.invoices)

    @property
    def due(self) -> Money:
        return sum((invoice.due for invoice in self.invoices), Money.zero())


def find_age(days_overdue: int) -> Age:
    """Find how old a debt is, by the days since the last one on which it was paid in time."""
    return next((age for last, age in LAST_DAYS if days_overdue <= last), Age.OVER_90)


def sum_by_age(invoices: Iterable[OpenInvoice]) -> dict[Age, Money]:
    """Add up what is due by age; every age is there."""
    sums = dict.fromkeys(Age, Money.zero())
    for invoice in invoices:
        sums[invoice.age] += invoice.due
    return sums


async def report_receivables(work: Work, *, customer_id: str | None = None) -> list[Receivable]:
    """Report what each customer owes now, by its name; who owes nothing is not there.

    Orders that may still expire are among it, as they are among the ledger's receivables.
    Raises: NotFound, for a customer that is none, or another's.
    """
    if customer_id is not None:
        await identity.get_customer(work, customer_id)
    query = (
        select(Invoice, Customer.name)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(Invoice.status == InvoiceStatus.OPEN.value)
        .order_by(Customer.name, Customer.id, Invoice.due_on, Invoice.number)
    )
    own = query if customer_id is None else query.where(Invoice.customer_id == customer_id)
    found = (await work.session.execute(own)).all()
    terms = await contracts.load_terms(work, {invoice.contract_id for invoice, _name in found})
    disputed = await read_disputed(work, {invoice.id for invoice, _name in found})
    owed: defaultdict[tuple[str, str], list[OpenInvoice]] = defaultdict(list)
    for invoice, name in found:
        if invoice.due.micros:
            today = local_day(work.now, terms[invoice.contract_id].time_zone)
            owed[invoice.customer_id, name].append(_describe(invoice, today, disputed.get(invoice.id, Money.zero())))
    return [Receivable(*customer, invoices) for customer, invoices in owed.items()]


def _describe(invoice: Invoice, today: date, disputed: Money) -> OpenInvoice:
    assert invoice.number is not None, "a final invoice has a number"
    overdue = 0 if invoice.due_on is None else max(0, (today - invoice.due_on).days)
    return OpenInvoice(
        id=invoice.id,
        number=invoice.number,
        kind=invoice.kind,
        contract_id=invoice.contract_id,
        contract_number=invoice.contract_number,
        due_on=invoice.due_on,
        days_overdue=overdue,
        due=invoice.due,
        disputed=min(disputed, invoice.due),
    )
