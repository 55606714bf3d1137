"""Paying: money that comes is always taken, settles what is overdue first, and the contract stands as it does then.

What was paused goes on with the next sweep, which is woken. Money beyond what is named stays the customer's credit.
"""

from dataclasses import dataclass

from sqlalchemy import select

from broker import errors
from broker.arrears.facts import find_debts
from broker.arrears.model import DebtKind, list_overdue
from broker.arrears.service import refresh
from broker.arrears.tables import ArrearsRecord
from broker.billing import service as billing
from broker.billing.model import InvoiceStatus
from broker.billing.orders import is_order_over
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.arrears import ArrearsState, Paying
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class NamedInvoice:
    """The invoice that a payment names, and how much came for it; None: the customer's credit is to pay it."""

    id: str
    received: Money | None


async def take_payment(work: Work, invoice_id: str, *, from_credit: bool = False) -> None:
    """Take the money that an invoice asks for, or the customer's credit: what is overdue of its contract comes first.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    invoice = await billing.get_invoice(work, invoice_id)
    terms = await _lock_payers(work, invoice.contract_id, invoice.customer_id)
    await work.session.refresh(invoice)
    overdue = await list_overdue_invoices(work, terms)
    goes_elsewhere = bool(overdue) and invoice_id not in overdue and invoice.status == InvoiceStatus.OPEN
    if goes_elsewhere and not await is_order_over(work, invoice):
        amount = None if from_credit else invoice.due
        await _pay_overdue_first(work, terms, NamedInvoice(invoice_id, amount), overdue)
    else:
        await billing.pay_invoice(work, invoice_id, from_credit=from_credit)
    await refresh(work, terms.id)


async def _lock_payers(work: Work, contract_id: str, customer_id: str) -> ContractTerms:
    """Lock a contract and those whose credit may pay its invoices, all in their order."""
    payers = {contract_id, *await ledger.read_credits(work, customer_id)}
    return (await contracts.lock_contracts(work, payers))[contract_id]


async def list_overdue_invoices(work: Work, terms: ContractTerms) -> list[str]:
    """List the invoices by which a contract is in arrears, the longest overdue first."""
    debts = (await find_debts(work, terms.id)).list_of(terms)
    overdue = list_overdue(debts, local_day(work.now, terms.time_zone))
    return [debt.object_id for debt in overdue if debt.kind == DebtKind.OVERDUE_INVOICE]


async def _pay_overdue_first(work: Work, terms: ContractTerms, named: NamedInvoice, overdue: list[str]) -> None:
    """Make the money the customer's credit, and pay by it what is overdue, then the invoice as far as it reaches."""
    if named.received is not None:
        await ledger.book_credit(work, terms, named.received, reference=named.id)
        facts = {"invoice_id": named.id, "amount": named.received.format_amount()}
        await record_contract_event(work, terms, ContractEventKind.PAYMENT_CREDITED, facts)
    await _pay_by_credit(work, overdue)
    if terms.allowed.paying != Paying.TO_DEBTS_ONLY:
        await _pay_by_credit(work, [named.id])


async def _pay_by_credit(work: Work, invoice_ids: list[str]) -> None:
    """Pay invoices by their customer's credit, in this order, as far as it reaches."""
    for invoice_id in invoice_ids:
        try:
            await billing.pay_invoice(work, invoice_id, from_credit=True)
        except errors.InvalidRequest:  # nothing is left, or too little for all of an advance
            continue


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
    await _pay_by_credit(work, await list_overdue_invoices(work, terms))
    await refresh(work, contract_id)
