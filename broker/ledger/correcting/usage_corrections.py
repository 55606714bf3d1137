"""Correcting usage that was captured before: an amended event charges less, or more, and both stay visible."""

from dataclasses import replace

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from broker import errors
from broker.ledger.books.model import UsageInterval
from broker.ledger.capturing.captures import Captured, capture_usage, count_captured
from broker.ledger.correcting.correction_plan import Capturable, plan_correction
from broker.ledger.correcting.taking_back import take_back
from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.rating.charge_limit import NOTHING_PROMISED, Promise
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.usage import Unit, Usage


async def correct_usage(work: Work, view: HoldView, run_id: str, sequence: int, taken: Usage) -> Captured:
    """Take back some of what one interval of a run was charged or borne for: its event said too much.

    Units return to the very grants, budget and limits; of a closed month, by a line of the next open one. Returns what
    all of the job's usage costs now. The caller holds the locks of the hold and its contract.
    Raises: InvalidRequest, for what is below zero, or more than the interval has.
    """
    if min(taken.gpu_seconds, taken.tokens) < 0:
        raise errors.invalid_field("usage", "takes back less than nothing; report more usage instead")
    try:
        quantities = plan_correction(await _read_left(work, run_id, sequence), taken)
    except ValueError as error:
        raise errors.invalid_field("usage", str(error)) from error
    if quantities:
        reference = f"{run_id}/{sequence}"
        await take_back(work, view, quantities, borne_for=None, kind="usage_corrected", reference=reference)
    return count_captured(view)


async def charge_more(
    work: Work, view: HoldView, more: UsageInterval, *, promise: Promise = NOTHING_PROMISED
) -> Captured:
    """Charge what an event that is charged already said too little of, beside what was charged with it then.

    It has the number of the event, and so its place among checkpoints; prices, grants and promises are those of the
    moment at which the event ended. Returns what all of the job's usage costs now. The caller holds the locks of the
    hold and its contract.
    """
    first, last = await _find_range(work, more.run_id, more.sequence)
    return await capture_usage(work, view, [replace(more, first_sequence=first, sequence=last)], promise=promise)


async def _find_range(work: Work, run_id: str, sequence: int) -> tuple[int, int]:
    """Find the intervals that one was charged together with; one that nothing was charged of is by itself."""
    query = select(Capture.first_sequence, Capture.last_sequence).where(*_covering(run_id, sequence)).limit(1)
    found = (await work.session.execute(query)).one_or_none()
    return (sequence, sequence) if found is None else (found[0], found[1])


def _covering(run_id: str, sequence: int) -> tuple[ColumnElement[bool], ...]:
    return Capture.run_id == run_id, Capture.first_sequence <= sequence, Capture.last_sequence >= sequence


async def _read_left(work: Work, run_id: str, sequence: int) -> list[Capturable]:
    """Read what is left of the captures that cover an interval, those that bear lost work instead among them."""
    corrections = aliased(Capture)
    taken = func.coalesce(func.sum(corrections.quantity).filter(corrections.quantity < 0), 0)
    query = (
        select(Capture.id, Capture.unit, Capture.quantity, taken)
        .outerjoin(corrections, corrections.corrects_id == Capture.id)
        .where(Capture.quantity > 0, *_covering(run_id, sequence))
        .group_by(Capture.id)
    )
    return [
        Capturable(capture_id, Unit(unit), quantity + int(back))
        for capture_id, unit, quantity, back in await work.session.execute(query)
    ]
