"""Reading what legs of grants have again of lost work, from the captures of them and what corrects those."""

from collections.abc import Collection
from itertools import groupby
from operator import attrgetter

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.ledger.grants.held_again import LegUse, count_held_again
from broker.ledger.tables import Capture
from broker.work import Work


async def read_held_again(work: Work, leg_ids: Collection[str]) -> dict[str, int]:
    """Read what legs of grants have again, by their ids, those that it left for a compensation among it.

    Units: the legs'.
    """
    back = aliased(Capture)
    query = (
        select(
            Capture.leg_id,
            Capture.id,
            Capture.quantity,
            func.sum(back.quantity).filter(back.quantity < 0).label("taken"),
            func.sum(back.quantity).filter(back.borne).label("lost"),
            func.max(back.id).filter(back.borne).label("lost_at"),
        )
        .outerjoin(back, back.corrects_id == Capture.id)
        .where(Capture.leg_id.in_(leg_ids), Capture.corrects_id.is_(None))
        .group_by(Capture.id)
        .order_by(Capture.leg_id)
    )
    rows = await work.session.execute(query)
    return {
        leg_id: count_held_again(
            LegUse(
                drawn_at=row.id,
                charged=row.quantity + int(row.taken or 0),
                lost=int(row.lost or 0),
                lost_at=row.lost_at or 0,
            )
            for row in own
        )
        for leg_id, own in groupby(rows, attrgetter("leg_id"))
    }
