"""Conditions by which contracts are listed: their plan and their status, as they are at a moment."""

from datetime import datetime

from sqlalchemy import ColumnElement, DateTime, and_, cast, column, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from broker.contracts.tables import Contract
from broker.contracts.terms.agreed import ContractStatus
from pricing.plans import PlanName


def is_on_plan(plan: PlanName, moment: datetime) -> ColumnElement[bool]:
    """Make the condition that a contract is on a plan at a moment: that of its last amendment with one, before it."""
    elements = func.jsonb_array_elements(Contract.changes)
    change = elements.table_valued(column("value", JSONB), with_ordinality="position", name="change").render_derived()
    values, begins = change.c.value["values"], cast(change.c.value["effective_at"].astext, DateTime(timezone=True))
    amended = select(values["plan"].astext).where(values.has_key("plan"), begins <= moment)
    last = amended.order_by(change.c.position.desc()).limit(1).correlate(Contract).scalar_subquery()
    return func.coalesce(last, Contract.plan) == plan.value


def has_status(status: ContractStatus, moment: datetime) -> ColumnElement[bool]:
    """Make the condition that a contract has a status at a moment; `ContractTerms.status_at` says the same."""
    kept, now = Contract.cancelled_at.is_(None), literal(moment)
    begun, over = Contract.starts_at <= now, and_(Contract.ends_at.is_not(None), Contract.ends_at <= now)
    return {
        ContractStatus.CANCELLED: ~kept,
        ContractStatus.UPCOMING: and_(kept, ~begun),
        ContractStatus.ENDED: and_(kept, begun, over),
        ContractStatus.ACTIVE: and_(kept, begun, or_(Contract.ends_at.is_(None), Contract.ends_at > now)),
    }[status]
