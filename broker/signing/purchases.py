"""Purchases: orders of hours or tokens at the contract's price, paid by an advance invoice or void."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, case, select

from broker import errors
from broker.billing import service as billing
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import NO_ROLLOVER, ContractTerms, GrantStatus, GrantTerms, NewGrant, Rollover
from broker.http.paging import fetch_page
from broker.persistence.database import narrow
from broker.signing.credit import require_no_arrears
from broker.signing.grants import check_scope, plan_term, require_living
from broker.signing.tables import Purchase
from broker.work import Work
from pricing.grants import DEFAULT_TERM_MONTHS, GrantKind, GrantScope
from pricing.money import Money


class PurchaseStatus(StrEnum):
    """Where an order is in its life: to be paid, paid, cancelled, or not paid in time."""

    OPEN = "open"
    PAID = "paid"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True)
class NewPurchase:
    """What is ordered. Units: `quantity` in the scope's meter.

    Its term begins when it is paid, or at `effective_at` where that is later, and lasts `term_months`.
    """

    contract_id: str
    scope: GrantScope
    quantity: int
    effective_at: datetime | None = None
    term_months: int = DEFAULT_TERM_MONTHS
    rollover: Rollover = NO_ROLLOVER
    automatic: bool = False


@dataclass(frozen=True)
class PurchaseView:
    """An order and its grant, as they are at a moment."""

    row: Purchase
    grant: GrantTerms
    now: datetime

    @property
    def status(self) -> PurchaseStatus:
        if self.grant.credited:
            return PurchaseStatus.PAID
        if self.grant.status == GrantStatus.PENDING and self.row.expires_at <= self.now:
            return PurchaseStatus.EXPIRED
        return PurchaseStatus(self.row.status)

    @property
    def total(self) -> Money:
        return Money(self.row.total_micros)


async def create_purchase(work: Work, new: NewPurchase) -> PurchaseView:
    """Order hours or tokens under a contract: they can be used once their advance invoice is paid.

    Raises: NotFound, InvalidRequest, NoContractInForce, InArrears; InsufficientBalance, where the contract's own one is
    unpaid.
    """
    terms = await contracts.lock_contract(work, new.contract_id)
    require_living(work, terms)
    require_no_arrears(terms)
    contracts.require_paid_advance(terms, await contracts.list_grants(work, terms.id))
    await check_scope(work, terms, new.scope)
    grant = await contracts.create_grant(work, terms, _plan_grant(work, terms, new))
    expires_at = _plan_expiry(work, terms)
    invoice = await billing.issue_advance_invoice(work, terms, grant, expires_at=expires_at)
    await contracts.note_invoice(work, grant.id, invoice.id)
    row = Purchase(
        id=work.new_id("pur"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        grant_id=grant.id,
        invoice_id=invoice.id,
        automatic=new.automatic,
        total_micros=invoice.total_micros,
        status=PurchaseStatus.OPEN.value,
        expires_at=expires_at,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    await _tell_order(work, terms, row, grant)
    return PurchaseView(row, await contracts.get_grant(work, grant.id), work.now)


async def _tell_order(work: Work, terms: ContractTerms, row: Purchase, grant: GrantTerms) -> None:
    facts = {
        "purchase_id": row.id,
        "grant_id": grant.id,
        "invoice_id": row.invoice_id,
        "unit": grant.unit,
        "quantity": grant.quantity,
        "automatic": row.automatic,
    }
    await record_contract_event(work, terms, ContractEventKind.GRANT_ORDERED, facts)


def _plan_grant(work: Work, terms: ContractTerms, new: NewPurchase) -> NewGrant:
    effective_at, expires_at = plan_term(work, terms, new.effective_at, None, months=new.term_months)
    return NewGrant(
        kind=GrantKind.BOUGHT,
        quantity=new.quantity,
        unit_price=terms.prices_at(effective_at, new.scope.gpu_type).of(new.scope.meter),
        scope=new.scope,
        advance=True,
        effective_at=effective_at,
        expires_at=expires_at,
        term_months=new.term_months,
        rollover=new.rollover,
    )


def _plan_expiry(work: Work, terms: ContractTerms) -> datetime:
    """Plan until when an order can be paid: for the days of the settings, and no longer than its contract lasts."""
    last = work.now + timedelta(days=work.settings.purchase_days)
    return min(last, terms.ends_at or last)


async def cancel_purchase(work: Work, purchase_id: str) -> PurchaseView:
    """Cancel an order that nobody has paid, and its invoice with it. Cancelling twice changes nothing.

    Raises: NotFound; IllegalTransition, where it is paid.
    """
    return await _end_purchase(work, purchase_id, PurchaseStatus.CANCELLED)


async def expire_purchase(work: Work, purchase_id: str) -> PurchaseView:
    """End an order whose time to pay is over: as expired, or as paid where it was."""
    view = await get_purchase(work, purchase_id)
    await contracts.lock_contract(work, view.row.contract_id)
    view = await get_purchase(work, purchase_id)
    if view.status == PurchaseStatus.PAID:
        view.row.status = PurchaseStatus.PAID.value
        return view
    return await _end_purchase(work, purchase_id, PurchaseStatus.EXPIRED)


async def _end_purchase(work: Work, purchase_id: str, status: PurchaseStatus) -> PurchaseView:
    view = await get_purchase(work, purchase_id)
    await billing.cancel_order(work, view.row.invoice_id)
    if view.row.status == PurchaseStatus.OPEN:
        view.row.status = (PurchaseStatus.EXPIRED if view.row.expires_at <= work.now else status).value
        await work.session.flush()
    return await get_purchase(work, purchase_id)


async def get_purchase(work: Work, purchase_id: str) -> PurchaseView:
    """Get an order. Raises: NotFound."""
    row = await work.session.get(Purchase, purchase_id, populate_existing=True)
    if row is None:
        raise errors.NotFound("purchase", purchase_id)
    return PurchaseView(row, await contracts.get_grant(work, row.grant_id), work.now)


async def fetch_purchases(
    work: Work, *, limit: int, cursor: str | None, status: PurchaseStatus | None, **wanted: str | None
) -> tuple[list[PurchaseView], str | None]:
    """Fetch a page of the orders that the actor sees, newest first, and the cursor of the next page.

    Raises: InvalidRequest.
    """
    query = narrow(select(Purchase), **wanted)
    if status is not None:
        query = query.where(_has_status(status, work.now))
    rows, after = await fetch_page(work.session, query, Purchase, limit=limit, cursor=cursor)
    grants = await contracts.load_grants(work, {row.grant_id for row in rows})
    return [PurchaseView(row, grants[row.grant_id], work.now) for row in rows], after


def _has_status(status: PurchaseStatus, now: datetime) -> ColumnElement[bool]:
    """Make the condition for what `PurchaseView.status` tells."""
    is_paid = Purchase.grant_id.in_(contracts.select_credited_ids())
    if status == PurchaseStatus.PAID:
        return is_paid
    is_overdue = (Purchase.status == PurchaseStatus.OPEN.value) & (Purchase.expires_at <= now)
    told = case((is_overdue, PurchaseStatus.EXPIRED.value), else_=Purchase.status)
    return ~is_paid & (told == status.value)


async def list_overdue_purchases(work: Work) -> list[str]:
    """List the orders whose time to pay is over and that have not been ended yet."""
    query = select(Purchase.id).where(Purchase.status == PurchaseStatus.OPEN.value, Purchase.expires_at <= work.now)
    return list(await work.session.scalars(query.order_by(Purchase.id)))


async def find_open_orders(work: Work, contract_ids: Sequence[str]) -> dict[str, str]:
    """Find the orders that contracts made by themselves and that wait to be paid, by contract."""
    query = select(Purchase).where(
        Purchase.contract_id.in_(contract_ids), Purchase.automatic, Purchase.status == PurchaseStatus.OPEN.value
    )
    rows = (await work.session.scalars(query)).all()
    grants = await contracts.load_grants(work, {row.grant_id for row in rows})
    views = [PurchaseView(row, grants[row.grant_id], work.now) for row in rows]
    return {view.row.contract_id: view.row.id for view in views if view.status == PurchaseStatus.OPEN}
