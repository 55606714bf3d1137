"""How contracts end in their rows: cancelled, not to be renewed, followed by another."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ScalarSelect, select

from broker.contracts.keeping.numbers import free_numbers
from broker.contracts.tables import Contract
from broker.contracts.terms.renewals import WARNING_DAYS
from broker.work import Work


async def mark_cancelled(work: Work, contract_id: str) -> None:
    """Mark a contract as cancelled: it is in force no more, and its number is free. The caller holds its lock."""
    row = await work.session.get_one(Contract, contract_id)
    row.cancelled_at = work.now
    await work.session.flush()
    await free_numbers(work, contract_id)


async def stop_renewing(work: Work, contract_id: str) -> None:
    """Let a contract end without renewing itself. The caller holds its lock."""
    row = await work.session.get_one(Contract, contract_id)
    row.auto_renew = False
    row.changes = [{**each, "values": _leave_out("auto_renew", each["values"])} for each in row.changes]
    await work.session.flush()


def _leave_out(name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {each: value for each, value in values.items() if each != name}


async def find_successor(work: Work, contract_id: str) -> str | None:
    """Find the contract that renews another; one that was cancelled does not."""
    renewing = select(Contract.id).where(Contract.renewed_from_id == contract_id, Contract.cancelled_at.is_(None))
    successor_id: str | None = await work.session.scalar(renewing)
    return successor_id


async def list_renewed(work: Work, contract_ids: Collection[str]) -> set[str]:
    """List those of some contracts that others renew already, as `find_successor` finds them."""
    renewing = select(Contract.renewed_from_id).where(
        Contract.renewed_from_id.in_(contract_ids), Contract.cancelled_at.is_(None)
    )
    return {renewed_id for renewed_id in await work.session.scalars(renewing) if renewed_id is not None}


async def list_ending(work: Work) -> list[str]:
    """List the contracts whose end is near enough for a warning."""
    latest = work.now + timedelta(days=max(WARNING_DAYS))
    near = (Contract.ends_at > work.now) & (Contract.ends_at <= latest) & Contract.cancelled_at.is_(None)
    return list((await work.session.scalars(select(Contract.id).where(near).order_by(Contract.id))).all())


def select_ended(moment: datetime) -> ScalarSelect[str]:
    """Select the ids of the contracts that have ended by a moment, as part of a larger statement."""
    return select(Contract.id).where(Contract.ends_at <= moment).scalar_subquery()
