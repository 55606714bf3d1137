"""Grants: the blocks of committed GPU-seconds under a contract. What is left of one is in the ledger."""

from sqlalchemy import select

from broker.contracts.model import ContractTerms, GrantTerms
from broker.contracts.tables import Grant
from broker.work import Work


async def create_grant(
    work: Work, terms: ContractTerms, *, gpu_seconds: int, advance: bool, priority: int = 0
) -> GrantTerms:
    """Create a block of hours at the plan's price, until the contract ends; not usable before it is credited.

    Units: GPU-seconds.
    """
    grant = Grant(
        id=work.new_id("gra"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        gpu_seconds=gpu_seconds,
        unit_price=terms.prices_at(work.now).per_gpu_hour,
        priority=priority,
        advance=advance,
        expires_at=terms.ends_at,
        created_at=work.now,
    )
    work.session.add(grant)
    await work.session.flush()
    return _to_terms(grant)


async def activate_grant(work: Work, grant_id: str) -> GrantTerms | None:
    """Mark a grant as usable; None where it was so before. The ledger credits it in the same transaction."""
    grant = await work.session.get_one(Grant, grant_id, with_for_update=True, populate_existing=True)
    if grant.activated_at is not None:
        return None
    grant.activated_at = work.now
    return _to_terms(grant)


async def list_grants(work: Work, contract_id: str) -> list[GrantTerms]:
    query = select(Grant).where(Grant.contract_id == contract_id).order_by(Grant.id)
    return [_to_terms(row) for row in await work.session.scalars(query)]


def _to_terms(row: Grant) -> GrantTerms:
    return GrantTerms(
        id=row.id,
        contract_id=row.contract_id,
        customer_id=row.customer_id,
        gpu_seconds=row.gpu_seconds,
        unit_price=row.unit_price,
        priority=row.priority,
        advance=row.advance,
        active=row.activated_at is not None,
        expires_at=row.expires_at,
    )
