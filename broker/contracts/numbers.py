"""Contract numbers: of one customer's contracts with one number at most one is in force at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from broker import errors
from broker.contracts.tables import ONE_AT_A_TIME, Contract
from broker.work import Work


@dataclass(frozen=True)
class _Period:
    """The time in which a contract has its number."""

    contract_id: str
    customer_id: str
    contract_number: str
    starts_at: datetime
    ends_at: datetime | None


async def keep_apart(work: Work, row: Contract, **changed: Any) -> None:
    """Write a contract, new or changed, where no other of its customer has its number at the same time.

    The caller holds the customer's lock: two that were written at once would wait for each other.
    Raises: ContractsOverlap.
    """
    number, ends_at = changed.get("contract_number", row.contract_number), changed.get("ends_at", row.ends_at)
    wanted = _Period(row.id, row.customer_id, number, row.starts_at, ends_at)
    try:
        async with work.session.begin_nested():
            for name, value in changed.items():
                setattr(row, name, value)
            work.session.add(row)
    except IntegrityError as error:
        if ONE_AT_A_TIME not in str(error.orig):
            raise
        raise await _describe_overlap(work, wanted) from error


async def _describe_overlap(work: Work, wanted: _Period) -> errors.ContractsOverlap:
    others = select(Contract.id).where(
        Contract.id != wanted.contract_id,
        Contract.customer_id == wanted.customer_id,
        Contract.contract_number == wanted.contract_number,
        Contract.cancelled_at.is_(None),
        or_(Contract.ends_at.is_(None), Contract.ends_at > wanted.starts_at),
    )
    if wanted.ends_at is not None:
        others = others.where(Contract.starts_at < wanted.ends_at)
    other = await work.session.scalar(others.order_by(Contract.starts_at).limit(1))
    cure = f"is that of contract {other}, which is in force in the same time; choose another number or other dates"
    return errors.ContractsOverlap(
        f"contract_number: {wanted.contract_number} {cure}",
        errors=[errors.FieldError("contract_number", cure)],
        contract_id=other,
    )
