"""What a leg of a hold has again: units that a run lost by our doing, given back to it and not used since."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.ledger.tables import Capture
from broker.work import Work


@dataclass(frozen=True)
class LegUse:
    """What one capture drew of a leg, and what of that came back to the leg since its run had lost it by our doing.

    `drawn_at` and `lost_at` are numbers in the order of booking. `charged` is charged still. Units: the leg's.
    """

    drawn_at: int
    charged: int
    lost: int = 0
    lost_at: int = 0


def count_held_again(uses: Iterable[LegUse]) -> int:
    """Count what came back to a leg and was not used again since: what came back is used first. Pure."""
    changes = [change for use in uses for change in ((use.drawn_at, -use.charged), (use.lost_at, use.lost))]
    held_again = 0
    for _number, change in sorted(changes):
        held_again = max(0, held_again + change)
    return held_again


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
