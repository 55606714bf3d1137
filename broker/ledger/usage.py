"""Reading the captures: what was used, by month, for invoices and reports."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select

from broker.ledger.charge_limit import Line
from broker.ledger.model import Payer, Unit
from broker.ledger.tables import Capture
from broker.work import Work


@dataclass(frozen=True)
class CaptureSum:
    """Captures of one job, meter and price added up. Units: GPU-seconds or tokens; yuan per GPU-hour or token."""

    contract_id: str
    job_id: str
    unit: str
    quantity: int
    unit_price: Decimal
    billable: bool
    rate_card_version: str


async def sum_captures(
    work: Work, month: str, *, contract_id: str | None = None, payer: Payer = Payer.CUSTOMER
) -> list[CaptureSum]:
    """One row for each job, meter and price of what one payer used in a billing month, in a fixed order."""
    group = (
        Capture.contract_id,
        Capture.job_id,
        Capture.unit,
        Capture.unit_price,
        Capture.billable,
        Capture.rate_card_version,
    )
    query = select(*group, func.sum(Capture.quantity).label("quantity")).where(
        Capture.month == month, Capture.payer == payer.value
    )
    if contract_id is not None:
        query = query.where(Capture.contract_id == contract_id)
    rows = await work.session.execute(query.group_by(*group).order_by(*group))
    return [
        CaptureSum(
            contract_id=row.contract_id,
            job_id=row.job_id,
            unit=row.unit,
            quantity=int(row.quantity),
            unit_price=row.unit_price,
            billable=row.billable,
            rate_card_version=row.rate_card_version,
        )
        for row in rows
    ]


async def list_months(work: Work) -> list[tuple[str, str]]:
    """Contract and billing month of all usage that customers pay for."""
    query = (
        select(Capture.contract_id, Capture.month)
        .where(Capture.payer == Payer.CUSTOMER.value)
        .distinct()
        .order_by(Capture.month, Capture.contract_id)
    )
    return [(contract_id, month) for contract_id, month in await work.session.execute(query)]


async def read_paid_lines(work: Work, job_id: str) -> dict[Line, int]:
    """What a job's customer has been charged for, as the lines of its invoices will have it."""
    group = (Capture.unit, Capture.unit_price, Capture.billable, Capture.month)
    query = (
        select(*group, func.sum(Capture.quantity))
        .where(Capture.job_id == job_id, Capture.payer == Payer.CUSTOMER.value)
        .group_by(*group)
    )
    rows = await work.session.execute(query)
    return {Line(Unit(unit), price, billable, month): int(quantity) for unit, price, billable, month, quantity in rows}
