"""Which other contract of a customer gets what comes back of one that has ended: its heir."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, case, select
from sqlalchemy.orm import aliased

from broker.contracts.tables import Contract, Grant
from broker.contracts.terms.model import GrantStatus
from broker.work import Work
from pricing.grants import GrantKind
from pricing.tax import TaxMode


async def find_heir(work: Work, contract_id: str) -> str | None:
    """Find the contract that gets what comes back of one that has ended; None where there is none.

    That is the one that renews it, or else of its customer's that are in force one of the same plan, the newest.
    """
    other = aliased(Contract)
    heirs = select(other.id).join(Contract, _is_heir(other, work.now)).where(Contract.id == contract_id)
    renews, same_plan = other.renewed_from_id == Contract.id, other.plan == Contract.plan
    order = (renews.is_(True).desc(), same_plan.desc(), other.starts_at.desc(), other.id)
    heir_id: str | None = await work.session.scalar(heirs.order_by(*order).limit(1))
    return heir_id


def select_stranded_compensations(now: datetime) -> ScalarSelect[str]:
    """Select the ids of the compensations that outlast their contract, and have an heir; of a larger statement."""
    other = aliased(Contract)
    query = (
        select(Grant.id)
        .join(Contract, Contract.id == Grant.contract_id)
        .where(Grant.kind == GrantKind.COMPENSATION.value, Grant.status == GrantStatus.ACTIVE.value)
        .where(Grant.expires_at > now, Contract.ends_at <= now)
        .where(select(other.id).where(_is_heir(other, now)).exists())
    )
    return query.scalar_subquery()


def _is_heir(other: type[Contract], now: datetime) -> ColumnElement[bool]:
    """Make the condition that a contract may get what comes back of one that has ended.

    One whose prices include another tax may not: what was paid would be worth another sum there.
    """
    is_in_force = (other.starts_at <= now) & (other.ends_at.is_(None) | (other.ends_at > now))
    follows = other.renewed_from_id == Contract.id
    is_theirs = (other.customer_id == Contract.customer_id) & (other.id != Contract.id)
    is_taxed_alike = _included_rate(other) == _included_rate(Contract)
    return is_theirs & other.cancelled_at.is_(None) & (follows | is_in_force) & is_taxed_alike


def _included_rate(contract: type[Contract]) -> ColumnElement[Any]:
    """Tell the rate of the tax that a contract's prices include: the same for its whole term."""
    return case((contract.tax_mode == TaxMode.INCLUDED.value, contract.tax_rate), else_=0)
