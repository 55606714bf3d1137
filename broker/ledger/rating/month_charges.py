"""Reading the charges of a month one by one, as evidence tells them: usage of which intervals, at which price, why."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import aliased

from broker.ledger.tables import Capture, LineTotal
from broker.work import Work
from pricing.usage import Unit


@dataclass(frozen=True)
class MonthCharge:
    """One capture. Units: GPU-seconds or tokens; yuan per GPU-hour or token.

    `cause`: the house bears it. `corrects` is the charge that it takes back, or bears instead, and `corrects_month` the
    month that billed that one.
    """

    id: int
    job_id: str
    run_id: str
    first: int
    last: int
    meter: Unit
    quantity: int
    unit_price: Decimal
    billable: bool
    cause: str | None
    rate_card_version: str
    plan: str | None
    grant_id: str | None
    used_month: str
    corrects: int | None
    corrects_month: str | None
    added_by: str | None


async def list_month_charges(work: Work, contract_id: str, month: str) -> list[MonthCharge]:
    """List the charges of a contract's month in the order in which they were booked."""
    corrected = aliased(Capture)
    query = (
        select(
            Capture.id,
            Capture.job_id,
            Capture.run_id,
            Capture.first_sequence,
            Capture.last_sequence,
            Capture.unit,
            Capture.quantity,
            Capture.unit_price,
            Capture.billable,
            Capture.cause,
            Capture.rate_card_version,
            Capture.plan,
            Capture.grant_id,
            Capture.used_month,
            Capture.corrects_id,
            corrected.month,
            Capture.added_by,
        )
        .outerjoin(corrected, corrected.id == Capture.corrects_id)
        .where(Capture.contract_id == contract_id, Capture.month == month)
        .order_by(Capture.id)
    )
    return [_to_charge(tuple(row)) for row in await work.session.execute(query)]


def _to_charge(values: tuple[Any, ...]) -> MonthCharge:
    charge = MonthCharge(*values)
    return replace(charge, meter=Unit(charge.meter))


async def list_leading_lines(work: Work, contract_id: str, month: str) -> set[Hashable]:
    """List the lines that lead their segments: by job, month of use, meter, price, and whether they are billed."""
    query = select(
        LineTotal.job_id, LineTotal.used_month, LineTotal.unit, LineTotal.unit_price, LineTotal.billable
    ).where(LineTotal.contract_id == contract_id, LineTotal.month == month, LineTotal.leads)
    return {tuple(row) for row in await work.session.execute(query)}
