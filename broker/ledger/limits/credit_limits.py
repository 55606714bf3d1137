"""A contract's credit limit: the most that may be owed under it, in unpaid invoices and in usage not billed yet."""

from dataclasses import dataclass, replace

from sqlalchemy import func, select

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.ledger.books.model import AccountKind, HoldState
from broker.ledger.limits.budgets import Taken
from broker.ledger.tables import Account, Capture, ClosedMonth, Entry, Hold, SegmentTotal, Transfer
from broker.work import Work
from pricing.money import Money
from pricing.tax import TaxMode


@dataclass(frozen=True)
class CreditRoom:
    """What a contract's credit limit leaves: `owed` as invoices ask for it, `held` by live jobs, before tax."""

    terms: ContractTerms
    limit: Money
    owed: Money
    held: Money

    def require(self, micros: int) -> None:
        """Refuse to hold more than the limit leaves. Raises: CreditLimitExceeded."""
        held = self.held + Money(micros)
        if micros and self.owed + held + tax_on(self.terms, held) > self.limit:
            raise errors.CreditLimitExceeded(
                f"{self.owed.format_amount()} is owed under contract {self.terms.id} and its credit limit is "
                f"{self.limit.format_amount()}: pay an invoice, or choose a smaller job or max_cost.",
                contract_id=self.terms.id,
                credit_limit=self.limit.format_amount(),
                owed=self.owed.format_amount(),
                held=self.held.format_amount(),
            )

    def less(self, micros: int) -> "CreditRoom":
        """Take what a hold reserves out of it."""
        return replace(self, held=self.held + Money(micros))


async def find_credit_room(work: Work, terms: ContractTerms, taken: Taken) -> CreditRoom | None:
    """Find what a contract's credit limit leaves, by what is taken of its budgets; None where it has no limit.

    The caller holds the contract's lock.
    """
    limit = terms.credit_limit_micros
    if limit is None:
        return None
    held = sum(taken.held.values(), Money.zero())
    return CreditRoom(terms, Money(limit), await _find_owed(work, terms, taken), held)


async def _find_owed(work: Work, terms: ContractTerms, taken: Taken) -> Money:
    """Find what is owed under a contract: invoices that are not paid, and usage of months that are not closed.

    Advances are not among it: what they buy cannot be used before they are paid.
    """
    unbilled = await _find_unbilled(work, terms.id, taken)
    invoiced = await _read_receivable(work, terms.id) - await _read_advances(work, terms.id)
    return invoiced + unbilled + tax_on(terms, unbilled)


def tax_on(terms: ContractTerms, amount: Money) -> Money:
    """Compute the tax that an invoice adds to an amount: none where prices include it."""
    return terms.tax.compute(amount) if terms.tax.mode == TaxMode.ON_TOP else Money.zero()


async def _read_receivable(work: Work, contract_id: str) -> Money:
    query = select(func.coalesce(func.sum(Account.balance), 0)).where(
        Account.contract_id == contract_id, Account.kind == AccountKind.RECEIVABLE.value
    )
    return Money(int(await work.session.scalar(query) or 0))


async def _read_advances(work: Work, contract_id: str) -> Money:
    """Read what advance invoices ask for that are not paid."""
    grants = await contracts.list_grants(work, contract_id)
    unpaid = [grant.invoice_id for grant in grants if grant.status == GrantStatus.PENDING and grant.invoice_id]
    if not unpaid:
        return Money.zero()
    query = (
        select(func.coalesce(func.sum(Entry.amount), 0))
        .join(Transfer, Transfer.id == Entry.transfer_id)
        .where(Transfer.contract_id == contract_id, Transfer.kind == "advance_invoiced", Transfer.reference.in_(unpaid))
    )
    return Money(int(await work.session.scalar(query) or 0))


async def _find_unbilled(work: Work, contract_id: str, taken: Taken) -> Money:
    """Find what the usage comes to of months whose invoices are not final."""
    closed = select(ClosedMonth.month).where(ClosedMonth.contract_id == contract_id)
    months = select(SegmentTotal.month).distinct().where(SegmentTotal.contract_id == contract_id)
    opened = (await work.session.scalars(months.where(SegmentTotal.month.not_in(closed)))).all()
    return sum((taken.sum_asked(month) for month in opened), Money.zero())


async def has_use(work: Work, contract_id: str) -> bool:
    """Tell whether anything was used under a contract, or a live job holds something of it."""
    used = select(Capture.id).where(Capture.contract_id == contract_id).exists()
    held = select(Hold.id).where(Hold.contract_id == contract_id, Hold.state == HoldState.PLACED.value).exists()
    return bool(await work.session.scalar(select(used | held)))
