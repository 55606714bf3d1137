"""What waits for somebody in finance: counts and sums, each in one statement, however much there is of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Date, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute

from broker.approvals.model import ApprovalStatus
from broker.approvals.tables import Approval
from broker.billing.dispute_model import STANDING
from broker.billing.model import InvoiceStatus
from broker.billing.tables import Dispute, Invoice
from broker.clock import billing_month, next_month
from broker.contracts.tables import Contract
from broker.fapiao.model import FapiaoStatus
from broker.fapiao.tables import Fapiao
from broker.identity.tables import Customer
from broker.identity.verification import SUBMITTED
from broker.ledger.tables import ClosedPeriod
from broker.payments.model import RefundStatus
from broker.payments.tables import Refund
from broker.reports.receipts import DUE, ReceiptSums, sum_unmatched
from broker.work import Work
from pricing.money import Money

LISTED = 20
STANDS = Dispute.status.in_([each.value for each in STANDING])


@dataclass(frozen=True)
class Sums:
    """How many there are of something, and what they come to."""

    count: int
    amount: Money


@dataclass(frozen=True)
class WaitingProposal:
    """A proposal that waits for another person, with whose money it is about."""

    approval: Approval
    customer: str


@dataclass(frozen=True)
class StandingDispute:
    """A dispute that nobody has ended, with whose it is and the number of its invoice, or else of its contract."""

    dispute: Dispute
    customer: str
    number: str


@dataclass(frozen=True)
class FinanceNeeds:
    """What waits for finance. `proposals` and `disputes` are the oldest of their kind, their counts are of all."""

    unmatched: ReceiptSums
    overdue: Sums
    oldest_due: date | None
    drafts: Sums
    refunds: Sums
    fapiao: Sums
    proposals: Sequence[WaitingProposal]
    disputes: Sequence[StandingDispute]
    proposals_count: int
    disputes_count: int
    open_months: Sequence[str]
    verifications_count: int


async def read_needs(work: Work) -> FinanceNeeds:
    """Read what waits for finance."""
    today = cast(func.timezone(Contract.time_zone, work.now), Date)  # as everywhere: a contract's own day
    overdue = (
        select(func.count(), func.coalesce(func.sum(DUE), 0), func.min(Invoice.due_on))
        .join(Contract, Contract.id == Invoice.contract_id)
        .where(Invoice.status == InvoiceStatus.OPEN.value, DUE > 0, Invoice.due_on < today)
    )
    count, micros, oldest = (await work.session.execute(overdue)).one()
    return FinanceNeeds(
        unmatched=await sum_unmatched(work),
        overdue=Sums(count, Money(int(micros))),
        oldest_due=oldest,
        drafts=await _sum(work, Invoice.total_micros, Invoice.status == InvoiceStatus.DRAFT.value),
        refunds=await _sum(work, Refund.amount_micros, Refund.status == RefundStatus.REQUESTED.value),
        fapiao=await _sum(work, Fapiao.amount_micros, Fapiao.status == FapiaoStatus.REQUESTED.value),
        proposals=await _list_proposals(work),
        disputes=await _list_disputes(work),
        proposals_count=await _count(work, *_list_proposed(work)),
        disputes_count=await _count(work, STANDS),
        open_months=await _list_open_months(work),
        verifications_count=await _count(work, Customer.verification == SUBMITTED),
    )


async def _list_open_months(work: Work) -> list[str]:
    """List the months of the house that are over and not closed, since there was a contract."""
    query = select(select(func.max(ClosedPeriod.month)).scalar_subquery(), func.min(Contract.starts_at))
    closed_through, begun_at = (await work.session.execute(query)).one()
    if begun_at is None:
        return []
    time_zone = work.settings.time_zone
    first = billing_month(begun_at, time_zone) if closed_through is None else next_month(closed_through)
    return list_months_between(first, billing_month(work.now, time_zone))


def list_months_between(first: str, until: str) -> list[str]:
    """List the months from the first on, but for the last one. Pure."""
    months = []
    while first < until:
        months.append(first)
        first = next_month(first)
    return months


async def _sum(work: Work, amount: InstrumentedAttribute[int], condition: ColumnElement[bool]) -> Sums:
    query = select(func.count(), func.coalesce(func.sum(amount), 0)).where(condition)
    count, micros = (await work.session.execute(query)).one()
    return Sums(count, Money(int(micros)))


async def _count(work: Work, *conditions: ColumnElement[bool]) -> int:
    return (await work.session.execute(select(func.count()).where(*conditions))).scalar_one()


def _list_proposed(work: Work) -> list[ColumnElement[bool]]:
    return [Approval.status == ApprovalStatus.PROPOSED.value, Approval.expires_at > work.now]


async def _list_proposals(work: Work) -> list[WaitingProposal]:
    query = (
        select(Approval, Customer.name)
        .join(Customer, Customer.id == Approval.customer_id)
        .where(*_list_proposed(work))
        .order_by(Approval.id)
        .limit(LISTED)
    )
    return [WaitingProposal(*row) for row in await work.session.execute(query)]


async def _list_disputes(work: Work) -> list[StandingDispute]:
    query = (
        select(Dispute, Customer.name, func.coalesce(Invoice.number, Contract.contract_number))
        .join(Customer, Customer.id == Dispute.customer_id)
        .join(Contract, Contract.id == Dispute.contract_id)
        .outerjoin(Invoice, Invoice.id == Dispute.invoice_id)
        .where(STANDS)
        .order_by(Dispute.id)
        .limit(LISTED)
    )
    rows = await work.session.execute(query)
    return [StandingDispute(*row) for row in rows]
