"""Reminders by hand: finance has the customer of an overdue invoice told once more, at most once a day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from broker import errors
from broker.arrears.model import Debt
from broker.arrears.paying import list_overdue_invoices
from broker.billing import service as billing
from broker.billing.payable import Invoice
from broker.billing.reference import make_reference
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, list_events_of_invoice, record_contract_event
from broker.contracts.terms.model import ContractTerms
from broker.notices.contacts import select_contacts
from broker.work import Work

KIND = ContractEventKind.INVOICE_REMINDED


@dataclass(frozen=True)
class Reminder:
    """That a customer was reminded of an invoice: what was owed of it then, and to how many contacts it went."""

    id: str
    customer_id: str
    contract_id: str
    facts: Mapping[str, Any]
    created_at: datetime


async def remind_of_invoice(work: Work, invoice_id: str) -> Reminder:
    """Have the customer of an overdue invoice told what is owed of it; the daemon composes and sends the notices.

    Raises: NotFound; InvalidRequest, where the customer has named nobody to be told; IllegalTransition, where the
    invoice is not overdue, or was reminded of today.
    """
    invoice = await billing.get_invoice(work, invoice_id)
    terms = await contracts.lock_contract(work, invoice.contract_id)
    await work.session.refresh(invoice)
    debt, today = await _get_debt(work, terms, invoice), local_day(work.now, terms.time_zone)
    facts = {
        "invoice_id": invoice.id,
        "number": debt.number,
        "reference": make_reference(debt.number or ""),
        "owed": debt.counted.format_amount(),
        "due_on": str(invoice.due_on),
        "days_overdue": (today - debt.since).days + 1,
        "contacts": await _count_contacts(work, invoice.customer_id),
    }
    if not await record_contract_event(work, terms, KIND, facts, occasion=f"{invoice.id}/{today}"):
        raise errors.IllegalTransition(
            f"The customer was reminded of invoice {debt.number} today already; again from tomorrow on.",
            status_before=invoice.status,
        )
    return (await list_reminders(work, invoice.id))[0]


async def _get_debt(work: Work, terms: ContractTerms, invoice: Invoice) -> Debt:
    """Get what is overdue of an invoice. Raises: IllegalTransition, where nothing is."""
    for debt in await list_overdue_invoices(work, terms):
        if debt.object_id == invoice.id:
            return debt
    raise errors.IllegalTransition(
        f"Invoice {invoice.number or invoice.id} is not overdue: nobody is reminded of it.",
        status_before=invoice.status,
    )


async def _count_contacts(work: Work, customer_id: str) -> int:
    """Count whom a customer wants told. Raises: InvalidRequest, where it is nobody."""
    count = await work.session.scalar(select(func.count()).select_from(select_contacts(customer_id).subquery()))
    if not count:
        cure = f"name somebody with POST /v1/customers/{customer_id}/contacts"
        raise errors.invalid_field("invoice_id", f"is of a customer that has named nobody to be told: {cure}")
    return count


async def list_reminders(work: Work, invoice_id: str) -> list[Reminder]:
    """List when a customer was reminded of an invoice, the newest first. Raises: NotFound."""
    invoice = await billing.get_invoice(work, invoice_id)
    rows = await list_events_of_invoice(work, invoice.contract_id, KIND, invoice.id)
    return [Reminder(row.id, row.customer_id, row.contract_id, row.data, row.created_at) for row in rows]
