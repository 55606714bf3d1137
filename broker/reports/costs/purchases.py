"""What was asked for in advance in a month, and what credit notes took back: when it was booked, with its tax."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, null, select
from sqlalchemy.orm import aliased

from broker.billing.tables import CreditNote, Invoice
from broker.clock import month_end, month_start
from broker.contracts import service as contracts
from broker.contracts.tables import Grant
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.model import AccountKind
from broker.ledger.tables import Account, Entry, Transfer
from broker.reports.costs.costs import Costs, Fact, Place
from broker.reports.costs.reading import Asked
from broker.work import Work

# A billing month may begin on any day, in any zone: so much before or after the calendar's is looked at.
AROUND = timedelta(days=32)
INVOICED, CANCELLED = "advance_invoiced", "advance_cancelled"
Make = Callable[[int], Costs]


async def read_purchases(work: Work, asked: Asked) -> list[Fact]:
    """Read what advance invoices asked for in a month, less those that were cancelled in it.

    Each stands with the project and GPU type that its grant is for. An order that is void stays in the month of its
    issue, and is taken off in that of its end: so a month that is over never changes.
    """
    debit, credit = aliased(Account), aliased(Account)
    moment = Transfer.created_at
    owed = (debit.kind == AccountKind.RECEIVABLE.value) & (Transfer.kind == INVOICED)
    taken_off = (credit.kind == AccountKind.RECEIVABLE.value) & (Transfer.kind == CANCELLED)
    amount = func.sum(case((Transfer.kind == INVOICED, Entry.amount), else_=-Entry.amount))
    query: Select[*tuple[Any, ...]] = (
        select(Transfer.contract_id, Grant.project_id, Grant.gpu_type, moment, amount.label("micros"))
        .join(Entry, Entry.transfer_id == Transfer.id)
        .join(debit, debit.id == Entry.debit_account_id)
        .join(credit, credit.id == Entry.credit_account_id)
        .outerjoin(Invoice, Invoice.id == Transfer.reference)
        .outerjoin(Grant, Grant.id == Invoice.grant_id)
        .where(Transfer.kind.in_((INVOICED, CANCELLED)), owed | taken_off)
        .group_by(Transfer.id, Grant.project_id, Grant.gpu_type)
    )
    return await _read(work, asked, query, Transfer, lambda micros: Costs(purchased=micros))


async def read_credits(work: Work, asked: Asked) -> list[Fact]:
    """Read what credit notes of a month took back, whatever month they are for."""
    columns = (CreditNote.contract_id, CreditNote.created_at, CreditNote.total_micros.label("micros"))
    query: Select[*tuple[Any, ...]] = select(*columns, *(null().label(name) for name in ("project_id", "gpu_type")))
    return await _read(work, asked, query, CreditNote, lambda micros: Costs(credited=micros))


async def _read(work: Work, asked: Asked, query: Select[*tuple[Any, ...]], table: Any, make: Make) -> list[Fact]:
    first, last = month_start(asked.month, "UTC") - AROUND, month_end(asked.month, "UTC") + AROUND
    near = query.where(table.created_at.between(first, last))
    for name in ("customer_id", "contract_id"):
        wanted = getattr(asked, name)
        near = near if wanted is None else near.where(getattr(table, name) == wanted)
    rows = (await work.session.execute(near)).all()
    terms = await contracts.load_terms(work, {row.contract_id for row in rows})
    return list(_make_facts(rows, terms, asked, make))


def _make_facts(rows: Iterable[Any], terms: dict[str, ContractTerms], asked: Asked, make: Make) -> Iterable[Fact]:
    for row in rows:
        own, moment = terms[row.contract_id], row.created_at
        assert isinstance(moment, datetime)
        if own.billing_month(moment) == asked.month:
            gpu_type = row.gpu_type if asked.by_gpu_type else None
            yield Fact(Place.of(own, asked.month, row.project_id, gpu_type), make(int(row.micros)), final=True)
