"""Reading what the lines of a month are made of: which run used it, which grant paid, which card priced it."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, or_, select
from sqlalchemy.orm import aliased

from broker.ledger.tables import Capture
from broker.persistence.membership import is_one_of
from broker.work import Work
from pricing.usage import Unit


@dataclass(frozen=True)
class LinePart:
    """What one run used of a line's meter, paid by one grant or none. Units: GPU-seconds or tokens.

    `run_id` is the stream's of usage from outside.
    """

    contract_id: str
    job_id: str
    run_id: str
    used_month: str
    meter: Unit
    unit_price: Decimal
    billable: bool
    rate_card_version: str
    grant_id: str | None
    quantity: int


async def list_line_parts(work: Work, contract_ids: Collection[str], month: str) -> list[LinePart]:
    """List what a month charges contracts, in any order; what it has taken back of itself is taken off.

    Few captures correct another: only of those is the other looked for, one by one. That most correct none is asked for
    by itself, since the planner knows it: it counts the rows right, and sums them up without sorting.
    """
    corrected = aliased(Capture)
    its_month = select(corrected.month).where(corrected.id == Capture.corrects_id).scalar_subquery()
    is_own = or_(Capture.corrects_id.is_(None), func.coalesce(its_month, month) == month)
    group = (
        Capture.contract_id,
        Capture.job_id,
        Capture.run_id,
        Capture.used_month,
        Capture.unit,
        Capture.unit_price,
        Capture.billable,
        Capture.rate_card_version,
        Capture.grant_id,
    )
    quantity = func.sum(Capture.quantity)
    query = (
        select(*group, quantity)
        .where(is_one_of(Capture.contract_id, contract_ids), Capture.month == month, ~Capture.borne)
        .where(is_own)
        .group_by(*group)
        .having(quantity != 0)
    )
    rows = await work.session.execute(query)
    return [
        LinePart(contract_id, job_id, run_id, used, Unit(unit), price, billable, version, grant_id, int(count))
        for contract_id, job_id, run_id, used, unit, price, billable, version, grant_id, count in rows
    ]
