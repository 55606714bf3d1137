"""Re-attribution: what an ended run has lost is taken back from its customer, and borne by the house for a cause."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.ledger.books.causes import Cause
from broker.ledger.correcting.lost_work import Checkpoints, LostWork, Portion, decide_lost_work, find_kept
from broker.ledger.correcting.taking_back import take_back
from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.usage import Unit, Usage


async def bear_lost_work(
    work: Work, view: HoldView, run_id: str, *, cause: Cause, checkpoints: Checkpoints
) -> LostWork | None:
    """Let the house bear what a run that has ended lost; None where there is nothing, or nothing more.

    To be asked at the run's end, and again after usage that comes later. The caller holds the locks of the hold and its
    contract.
    """
    kept = find_kept(checkpoints)
    if kept.last_sequence is None:
        return None
    portions = await read_portions(work, run_id, after=kept.last_sequence)
    lost = decide_lost_work(cause, checkpoints, portions)
    if lost is not None:
        quantities = {portion.capture_id: portion.charged for portion in lost.portions}
        await take_back(work, view, quantities, borne_for=lost.cause, kind="lost_work_borne", reference=run_id)
    return lost


async def read_lost(work: Work, run_id: str) -> dict[Cause, Usage]:
    """Read what the house bears of a run's lost work, by cause; what goes beyond a promise is none."""
    query = select(Capture.cause, Capture.unit, func.sum(Capture.quantity)).where(
        Capture.run_id == run_id, Capture.borne, Capture.cause != Cause.OVER_PROMISE.value
    )
    counts: defaultdict[Cause, Counter[Unit]] = defaultdict(Counter)
    for cause, unit, quantity in await work.session.execute(query.group_by(Capture.cause, Capture.unit)):
        counts[Cause(cause or "")][Unit(unit)] += int(quantity)
    return {cause: Usage(count[Unit.GPU_SECONDS], count[Unit.TOKENS]) for cause, count in counts.items()}


async def read_portions(work: Work, run_id: str, *, after: int) -> Sequence[Portion]:
    """Read what the captures of a run have of its usage after an interval, and what of it is charged still."""
    corrections = aliased(Capture)
    changed = func.coalesce(func.sum(corrections.quantity), 0)
    taken = func.coalesce(func.sum(corrections.quantity).filter(corrections.quantity < 0), 0)
    query = (
        select(Capture.id, Capture.first_sequence, Capture.unit, Capture.quantity, Capture.borne, changed, taken)
        .outerjoin(corrections, corrections.corrects_id == Capture.id)
        .where(Capture.run_id == run_id, Capture.corrects_id.is_(None), Capture.first_sequence > after)
        .group_by(Capture.id)
        .order_by(Capture.id)
    )
    return [
        Portion(capture_id, first, Unit(unit), quantity + int(changed), 0 if borne else quantity + int(taken))
        for capture_id, first, unit, quantity, borne, changed, taken in await work.session.execute(query)
    ]
