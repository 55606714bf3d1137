"""Reading a month's volumes: what was used at contracts' own prices, which volume tiers count and settle."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.ledger.tables import Capture
from broker.work import Work
from pricing.plans import PlanName
from pricing.usage import Unit


@dataclass(frozen=True)
class Volume:
    """A month's usage of a meter that was charged at one price of one card. Units: GPU-seconds or tokens.

    `plan` is the one whose price it is; None: an earlier release charged it, which knew only the contract's own.
    `month` is the one that billed it: an earlier one of what is taken back, below zero, of a closed month.
    """

    contract_id: str
    meter: Unit
    quantity: int
    unit_price: Decimal
    rate_card_version: str
    plan: PlanName | None
    month: str


async def list_volumes(work: Work, contract_ids: Collection[str], month: str) -> list[Volume]:
    """List what contracts are charged for in a billing month outside grants, in a fixed order.

    What was taken back of it while it was open is taken off; what the month takes back of closed ones is told apart.
    """
    corrected = aliased(Capture)
    billed = func.coalesce(corrected.month, Capture.month).label("billed")
    group = (
        Capture.contract_id,
        Capture.unit,
        Capture.unit_price,
        Capture.rate_card_version,
        Capture.plan,
        billed,
    )
    quantity = func.sum(Capture.quantity)
    query = (
        select(*group, quantity.label("quantity"))
        .outerjoin(corrected, corrected.id == Capture.corrects_id)
        .where(Capture.contract_id.in_(contract_ids), Capture.month == month)
        .where(~Capture.borne, Capture.grant_id.is_(None))
        .group_by(*group)
        .having(quantity != 0)
        .order_by(*group)
    )
    return [
        Volume(
            contract_id=row.contract_id,
            meter=Unit(row.unit),
            quantity=int(row.quantity),
            unit_price=row.unit_price,
            rate_card_version=row.rate_card_version,
            plan=None if row.plan is None else PlanName(row.plan),
            month=row.billed,
        )
        for row in await work.session.execute(query)
    ]
