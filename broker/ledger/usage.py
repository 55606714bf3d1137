"""Reading the captures: what was used, by month, for invoices and reports."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select

from broker.ledger.charge_limit import BilledLine
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.money import Money, round_to_fen
from pricing.rating import price_usage
from pricing.usage import Unit


@dataclass(frozen=True)
class CapturedUsage:
    """What one job used in a month of one meter at one price. Units: GPU-seconds or tokens; yuan per GPU-hour or token.

    `billable` is false where an advance has paid for it, or the house bears it.
    """

    contract_id: str
    job_id: str
    meter: Unit
    quantity: int
    unit_price: Decimal
    billable: bool
    rate_card_version: str

    @property
    def amount(self) -> Money:
        """Price the usage, rounded once, half-even to the fen."""
        return round_to_fen(price_usage(self.meter, self.quantity, self.unit_price))


async def list_captured_usage(
    work: Work, month: str, *, contract_id: str | None = None, borne: bool = False
) -> list[CapturedUsage]:
    """Add up what customers pay for in a billing month, or what is borne: by job, meter and price, in a fixed order."""
    group = (
        Capture.contract_id,
        Capture.job_id,
        Capture.unit,
        Capture.unit_price,
        Capture.billable,
        Capture.rate_card_version,
    )
    query = select(*group, func.sum(Capture.quantity).label("quantity")).where(
        Capture.month == month, Capture.borne == borne
    )
    if contract_id is not None:
        query = query.where(Capture.contract_id == contract_id)
    rows = await work.session.execute(query.group_by(*group).order_by(*group))
    return [
        CapturedUsage(
            contract_id=row.contract_id,
            job_id=row.job_id,
            meter=Unit(row.unit),
            quantity=int(row.quantity),
            unit_price=row.unit_price,
            billable=row.billable,
            rate_card_version=row.rate_card_version,
        )
        for row in rows
    ]


async def list_months(work: Work) -> list[tuple[str, str]]:
    """List contract and billing month of all usage that customers pay for."""
    query = (
        select(Capture.contract_id, Capture.month)
        .where(~Capture.borne)
        .distinct()
        .order_by(Capture.month, Capture.contract_id)
    )
    return [(contract_id, month) for contract_id, month in await work.session.execute(query)]


async def read_paid_lines(work: Work, job_id: str) -> dict[BilledLine, int]:
    """Read what a job's customer has been charged for, as the lines of its invoices will have it."""
    group = (Capture.unit, Capture.unit_price, Capture.billable, Capture.month)
    query = select(*group, func.sum(Capture.quantity)).where(Capture.job_id == job_id, ~Capture.borne).group_by(*group)
    rows = await work.session.execute(query)
    return {
        BilledLine(Unit(unit), price, billable, month): int(quantity) for unit, price, billable, month, quantity in rows
    }
