"""Grants: the blocks of prepaid GPU-seconds and tokens under a contract. What is left of one is in the ledger."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ScalarSelect, Select, bindparam, select

from broker import errors
from broker.contracts.tables import Contract, Grant
from broker.contracts.terms.model import ENDED, ContractTerms, GrantStatus, GrantTerms, NewGrant, Rollover, RolloverRule
from broker.http.paging import fetch_page
from broker.persistence.database import narrow
from broker.persistence.driver import Query, Row, RowFormat
from broker.persistence.membership import is_one_of
from broker.persistence.tenancy import owns
from broker.work import Work
from pricing.grants import GrantKind, GrantScope, compute_expiry
from pricing.usage import Unit

GRANTS = RowFormat(Grant)
GRANTS_OF = Query(
    select(*Grant.__table__.columns)
    .where(Grant.contract_id == bindparam("of_contract_id"), owns(Grant.customer_id))
    .order_by(Grant.id)
)


async def create_grant(work: Work, terms: ContractTerms, new: NewGrant) -> GrantTerms:
    """Create a block of prepaid units; it pays for nothing before it is credited (`ledger.credit_grant`)."""
    effective_at = new.effective_at or terms.starts_at
    grant = Grant(
        id=work.new_id("gra"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        kind=new.kind.value,
        unit=new.scope.meter.value,
        quantity=new.quantity,
        unit_price=new.unit_price,
        project_id=new.scope.project_id,
        gpu_type=new.scope.gpu_type,
        priority=new.priority,
        advance=new.advance,
        arrears=new.arrears,
        compensates_id=new.compensates_id,
        status=GrantStatus.PENDING.value,
        reason=new.reason,
        term_months=new.term_months,
        rollover=new.rollover.rule.value,
        rollover_percent=new.rollover.percent,
        effective_at=effective_at,
        expires_at=new.expires_at or terms.ends_at or compute_expiry(effective_at, terms.time_zone),
        created_at=work.now,
    )
    work.session.add(grant)
    await work.session.flush()
    return _to_terms(grant)


async def note_invoice(work: Work, grant_id: str, invoice_id: str) -> None:
    """Note the invoice that has to be paid before the hours of an advance can be used."""
    grant = await work.session.get_one(Grant, grant_id)
    grant.invoice_id = invoice_id
    await work.session.flush()


def require_paid_advance(terms: ContractTerms, grants: Sequence[GrantTerms]) -> None:
    """Refuse what a plan sells at the price of hours paid ahead, while none have been paid.

    Once paid they count, used up or expired: they were bought, and `overage` says what becomes of more.
    Raises: InsufficientBalance. Pure.
    Source: MISSION, "at least 500 GPU-hours bought ahead"; decision 0018.
    """
    if not owes_advance(terms, grants):
        return
    hours = [each for each in grants if each.unit == Unit.GPU_SECONDS and not each.is_order]
    advances = [each for each in hours if each.status == GrantStatus.PENDING]
    unpaid = ", ".join(grant.invoice_id for grant in advances if grant.invoice_id is not None)
    raise errors.InsufficientBalance(
        f"Contract {terms.id} is {terms.plan.value}: its prices are for GPU-hours paid ahead, and none are paid. "
        f"Pay invoice {unpaid} first.",
        contract_id=terms.id,
        invoice_id=unpaid,
    )


def owes_advance(terms: ContractTerms, grants: Sequence[GrantTerms]) -> bool:
    """Tell whether a plan sells at the price of hours paid ahead, and none of the contract's have been paid. Pure.

    A compensation is for hours of another contract, or for some of its own that are over: those were paid as well. An
    order is no commitment: one hour that was ordered under another plan would open the price of five hundred.
    """
    hours = (grant for grant in grants if grant.unit == Unit.GPU_SECONDS and not grant.is_order)
    own = (grant for grant in hours if not grant.kind.is_gift)
    return terms.plan_terms.advance and not any(grant.advance and grant.credited for grant in own)


async def activate_grant(work: Work, grant_id: str) -> GrantTerms | None:
    """Mark a grant as usable; None where it was so before. The ledger credits it in the same transaction.

    The term of one that begins when it is paid is counted from now on, or from its beginning where that is to come.
    """
    grant = await work.session.get_one(Grant, grant_id, with_for_update=True, populate_existing=True)
    now = work.now
    if grant.activated_at is not None:
        return None
    grant.activated_at, grant.status = now, GrantStatus.ACTIVE.value
    if grant.term_months is not None and grant.effective_at < now:
        contract = await work.session.get_one(Contract, grant.contract_id)
        grant.effective_at = now
        whole_term = compute_expiry(now, contract.time_zone, grant.term_months)
        grant.expires_at = min(whole_term, contract.ends_at or whole_term)
    return _to_terms(grant)


async def end_grant(work: Work, grant_id: str, status: GrantStatus, reason: str | None = None) -> GrantTerms:
    """Mark a grant as expired, void or cancelled: nothing more is drawn from it. The contract is locked."""
    grant = await work.session.get_one(Grant, grant_id, with_for_update=True, populate_existing=True)
    grant.status, grant.reason = status.value, reason or grant.reason
    await work.session.flush()
    return _to_terms(grant)


async def resize_grant(work: Work, grant_id: str, change: int) -> None:
    """Note that a grant has so many units more, or less. The contract is locked. Units: the grant's own."""
    grant = await work.session.get_one(Grant, grant_id, with_for_update=True, populate_existing=True)
    grant.quantity += change
    await work.session.flush()


async def get_grant(work: Work, grant_id: str) -> GrantTerms:
    """Get a grant. Raises: NotFound."""
    grant = await work.session.get(Grant, grant_id, populate_existing=True)
    if grant is None:
        raise errors.NotFound("grant", grant_id)
    return _to_terms(grant)


async def load_grants(work: Work, grant_ids: Collection[str]) -> dict[str, GrantTerms]:
    """Load several grants as they are now, by their ids."""
    query = select(Grant).where(Grant.id.in_(grant_ids))
    rows = await work.session.scalars(query.execution_options(populate_existing=True))
    return {row.id: _to_terms(row) for row in rows}


async def list_paid_by(work: Work, invoice_ids: Collection[str]) -> list[str]:
    """List the grants that invoices have paid for: their own, and those that were carried on or came back of them."""
    return list(await work.session.scalars(select(Grant.id).where(Grant.invoice_id.in_(invoice_ids))))


async def list_expired_grants(work: Work) -> list[str]:
    """List the grants whose term is over and that nobody has ended yet, the earliest first."""
    query = select(Grant.id).where(Grant.status == GrantStatus.ACTIVE.value, Grant.expires_at <= work.now)
    return list(await work.session.scalars(query.order_by(Grant.expires_at, Grant.id)))


def select_ended_grants() -> ScalarSelect[str]:
    """Select the ids of the grants that are expired or void, as part of a larger statement."""
    return select(Grant.id).where(Grant.status.in_([status.value for status in ENDED])).scalar_subquery()


async def list_grants_ending(work: Work, within: timedelta) -> list[GrantTerms]:
    """List the active grants that expire within a time from now, the earliest first."""
    query = select(Grant).where(
        Grant.status == GrantStatus.ACTIVE.value, Grant.expires_at > work.now, Grant.expires_at <= work.now + within
    )
    return [_to_terms(row) for row in await work.session.scalars(query.order_by(Grant.expires_at, Grant.id))]


def select_credited_ids() -> Select[Any]:
    """Select the ids of grants that are paid, or were given, for a statement over what they belong to."""
    return select(Grant.id).where(Grant.activated_at.is_not(None))


async def fetch_grants(
    work: Work, *, limit: int, cursor: str | None, **wanted: str | None
) -> tuple[list[GrantTerms], str | None]:
    """Fetch a page of the grants that the actor sees, all or those with these values in their columns.

    Returns them and the cursor of the next page. Raises: InvalidRequest.
    """
    query = narrow(select(Grant), **wanted)
    rows, after = await fetch_page(work.session, query, Grant, limit=limit, cursor=cursor)
    return [_to_terms(row) for row in rows], after


async def list_grants(work: Work, contract_id: str) -> list[GrantTerms]:
    """List the grants of a contract, the oldest first."""
    return [read_grant(row) for row in await work.fetch(GRANTS_OF, of_contract_id=contract_id)]


async def list_grants_of(work: Work, contract_ids: Collection[str]) -> list[GrantTerms]:
    """List the grants of several contracts, the oldest first."""
    query = select(Grant).where(is_one_of(Grant.contract_id, contract_ids)).order_by(Grant.id)
    query = query.execution_options(populate_existing=True)
    return [_to_terms(row) for row in await work.session.scalars(query)]


def read_grant(values: Row) -> GrantTerms:
    """Read a grant from the columns of its row, as a statement of the driver selects them."""
    return _to_terms(GRANTS.read(values))


def _to_terms(row: Grant) -> GrantTerms:
    return GrantTerms(
        id=row.id,
        contract_id=row.contract_id,
        customer_id=row.customer_id,
        kind=GrantKind(row.kind),
        scope=GrantScope(Unit(row.unit), row.project_id, row.gpu_type),
        quantity=row.quantity,
        unit_price=row.unit_price,
        priority=row.priority,
        advance=row.advance,
        invoice_id=row.invoice_id,
        status=GrantStatus(row.status),
        credited=row.activated_at is not None,
        reason=row.reason,
        rollover=Rollover(RolloverRule(row.rollover), row.rollover_percent),
        effective_at=row.effective_at,
        expires_at=row.expires_at,
        created_at=row.created_at,
        arrears=row.arrears,
        compensates_id=row.compensates_id,
        is_order=row.term_months is not None,
    )


async def list_with_paid_grants(work: Work) -> list[str]:
    """List the contracts that have grants which were paid ahead and are in their term: those whose money may end."""
    paid = (Grant.advance, Grant.status == GrantStatus.ACTIVE.value, Grant.effective_at <= work.now)
    lasting = Grant.expires_at.is_(None) | (Grant.expires_at > work.now)
    query = select(Grant.contract_id).where(*paid, lasting).distinct().order_by(Grant.contract_id)
    return list(await work.session.scalars(query))
