"""Contract numbers: of one customer's contracts at most one has a number at a time, now and as it is planned."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.contracts.tables import Contract, ContractNumber
from broker.work import Work


@dataclass(frozen=True)
class NumberPeriod:
    """A time in which a contract has a number; without `ends_at` for good."""

    contract_number: str
    begins_at: datetime
    ends_at: datetime | None


def list_periods(row: Contract) -> list[NumberPeriod]:
    """List the times in which a contract has its numbers, as it was signed and as amendments change them."""
    begins = [(row.starts_at, row.contract_number), *_list_amended(row)]
    ends: list[datetime | None] = [*(moment for moment, _number in begins[1:]), row.ends_at]
    periods = (NumberPeriod(number, begin, end) for (begin, number), end in zip(begins, ends, strict=True))
    return [each for each in periods if each.ends_at is None or each.begins_at < each.ends_at]


def _list_amended(row: Contract) -> Iterator[tuple[datetime, str]]:
    for change in row.changes:
        if "contract_number" in change["values"]:
            yield datetime.fromisoformat(change["effective_at"]), change["values"]["contract_number"]


async def keep_apart(work: Work, row: Contract) -> None:
    """Write a contract, new or changed, where no other of its customer has its numbers at the same times.

    The caller holds the customer's lock: two that were written at once would wait for each other.
    Raises: ContractsOverlap.
    """
    work.session.add(row)
    await work.session.flush()
    for period in list_periods(row):
        other = await _find_other(work, row, period)
        if other is not None:
            raise _refuse(period, other)
    await _write_periods(work, row)


async def free_numbers(work: Work, contract_id: str) -> None:
    """Free the numbers of a contract: another may have them."""
    await work.session.execute(delete(ContractNumber).where(ContractNumber.contract_id == contract_id))


async def _write_periods(work: Work, row: Contract) -> None:
    await free_numbers(work, row.id)
    values = [{"contract_id": row.id, "customer_id": row.customer_id, **vars(period)} for period in list_periods(row)]
    await work.session.execute(insert(ContractNumber), values)


async def _find_other(work: Work, row: Contract, period: NumberPeriod) -> str | None:
    taken = select(ContractNumber.contract_id).where(
        ContractNumber.contract_id != row.id,
        ContractNumber.customer_id == row.customer_id,
        ContractNumber.contract_number == period.contract_number,
        or_(ContractNumber.ends_at.is_(None), ContractNumber.ends_at > period.begins_at),
    )
    if period.ends_at is not None:
        taken = taken.where(ContractNumber.begins_at < period.ends_at)
    other: str | None = await work.session.scalar(taken.order_by(ContractNumber.begins_at).limit(1))
    return other


def _refuse(period: NumberPeriod, other: str) -> errors.ContractsOverlap:
    cure = f"is that of contract {other}, which has it in the same time; choose another number or other dates"
    return errors.ContractsOverlap(
        f"contract_number: {period.contract_number} {cure}",
        errors=[errors.FieldError("contract_number", cure)],
        contract_id=other,
    )


def has_number(contract_number: str) -> ColumnElement[bool]:
    """Make the condition that a contract was signed under a number, or has it at some time."""
    having = select(ContractNumber.contract_id).where(ContractNumber.contract_number == contract_number)
    return or_(Contract.contract_number == contract_number, Contract.id.in_(having))
