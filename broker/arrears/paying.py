"""Paying: money that comes is always taken, settles what is overdue first, and the contract stands as it does then.

What was paused goes on with the next sweep, which is woken. Money beyond what is named stays the customer's credit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from broker import errors
from broker.arrears.facts import find_debts
from broker.arrears.model import Debt, DebtKind, list_overdue
from broker.arrears.service import refresh
from broker.arrears.tables import ArrearsRecord
from broker.billing import service as billing
from broker.billing.model import InvoiceStatus
from broker.billing.orders import is_order_over
from broker.billing.payable import Invoice
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.arrears import ArrearsState, Paying
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class NamedPayment:
    """Money that came for an invoice, all that it asks for, or the customer's credit that is to pay it.

    `overdue_first`: whether what is overdue of its contract is paid before it.
    """

    invoice_id: str
    from_credit: bool = False
    overdue_first: bool = True


@dataclass(frozen=True)
class Settled:
    """What a payment has paid of one invoice, which has this number."""

    invoice_id: str
    number: str | None
    amount: Money


@dataclass(frozen=True)
class Settlement:
    """What a payment has paid, in this order, and the credit that its customer has then."""

    settled: tuple[Settled, ...]
    credit: Money


async def take_payment(work: Work, payment: NamedPayment) -> Settlement:
    """Take the money that an invoice asks for, or the customer's credit: what is overdue of its contract comes first.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    invoice = await billing.get_invoice(work, payment.invoice_id)
    terms = await _lock_payers(work, invoice.contract_id, invoice.customer_id)
    await work.session.refresh(invoice)
    overdue = await _find_first(work, terms, invoice)
    if overdue and payment.overdue_first:
        settled = await _pay_overdue_first(work, terms, invoice, overdue, from_credit=payment.from_credit)
    else:
        if overdue and terms.allowed.paying == Paying.TO_DEBTS_ONLY:
            raise errors.invalid_field("overdue_first", "must be true: of a closed contract only debts are paid")
        settled = [await _pay(work, payment.invoice_id, from_credit=payment.from_credit)]
    await refresh(work, terms.id)
    left = await ledger.read_credits(work, invoice.customer_id)
    return Settlement(tuple(each for each in settled if each.amount.micros), sum(left.values(), Money.zero()))


async def _find_first(work: Work, terms: ContractTerms, invoice: Invoice) -> list[Debt]:
    """Find what is overdue of a contract and comes before an invoice: nothing, where that one is overdue or over."""
    overdue = await list_overdue_invoices(work, terms)
    is_among = any(debt.object_id == invoice.id for debt in overdue)
    if is_among or invoice.status != InvoiceStatus.OPEN or await is_order_over(work, invoice):
        return []
    return overdue


async def _lock_payers(work: Work, contract_id: str, customer_id: str) -> ContractTerms:
    """Lock a contract and those whose credit may pay its invoices, all in their order."""
    payers = {contract_id, *await ledger.read_credits(work, customer_id)}
    return (await contracts.lock_contracts(work, payers))[contract_id]


async def list_overdue_invoices(work: Work, terms: ContractTerms) -> list[Debt]:
    """List the invoices by which a contract is in arrears, the longest overdue first."""
    debts = (await find_debts(work, terms.id)).list_of(terms)
    overdue = list_overdue(debts, local_day(work.now, terms.time_zone))
    return [debt for debt in overdue if debt.kind == DebtKind.OVERDUE_INVOICE]


async def _pay_overdue_first(
    work: Work, terms: ContractTerms, named: Invoice, overdue: list[Debt], *, from_credit: bool
) -> list[Settled]:
    """Make the money the customer's credit, and pay by it what is overdue, then the invoice as far as it reaches."""
    if not from_credit:
        await ledger.book_credit(work, terms, named.due, reference=named.id)
        facts = {"invoice_id": named.id, "amount": named.due.format_amount()}
        await record_contract_event(work, terms, ContractEventKind.PAYMENT_CREDITED, facts)
    settled = await _pay_debts(work, overdue)
    if terms.allowed.paying != Paying.TO_DEBTS_ONLY:
        settled += await _pay_as_far(work, named.id)
    return settled


async def _pay_debts(work: Work, debts: Iterable[Debt]) -> list[Settled]:
    """Pay what counts of debts by their customer's credit, in this order: nothing of what is disputed."""
    return [settled for debt in debts for settled in await _pay_as_far(work, debt.object_id, debt.counted)]


async def _pay_as_far(work: Work, invoice_id: str, most: Money | None = None) -> list[Settled]:
    """Pay an invoice by its customer's credit, as far as it reaches."""
    try:
        return [await _pay(work, invoice_id, from_credit=True, most=most)]
    except errors.InvalidRequest:  # nothing is left, or too little for all of an advance
        return []


async def _pay(work: Work, invoice_id: str, *, from_credit: bool, most: Money | None = None) -> Settled:
    before = (await billing.get_invoice(work, invoice_id)).paid_micros
    invoice = await billing.pay_invoice(work, invoice_id, from_credit=from_credit, most=most)
    return Settled(invoice_id, invoice.number, Money(max(0, invoice.paid_micros - before)))


async def list_payable_by_credit(work: Work) -> list[str]:
    """List the contracts in arrears whose customers have credit: a top-up settles what is overdue first."""
    query = select(ArrearsRecord.contract_id, ArrearsRecord.customer_id).where(
        ArrearsRecord.state != ArrearsState.CURRENT.value, ArrearsRecord.owed_micros > 0
    )
    found = (await work.session.execute(query.order_by(ArrearsRecord.contract_id))).all()
    rich = await ledger.list_with_credit(work, {customer_id for _contract, customer_id in found}) if found else set()
    return [contract_id for contract_id, customer_id in found if customer_id in rich]


async def pay_by_credit(work: Work, contract_id: str) -> None:
    """Pay what is overdue under a contract by its customer's credit, and decide how it stands then."""
    own = await contracts.get_contract(work, contract_id)
    terms = await _lock_payers(work, contract_id, own.customer_id)
    await _pay_debts(work, await list_overdue_invoices(work, terms))
    await refresh(work, contract_id)
