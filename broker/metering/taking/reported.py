"""Taking what sources report: what they measured, then what they correct of it, so that one request may have both.

Keys are taken in their order, but those of corrections after all others: a correction is judged by what was measured.
So two requests that use the same ids crosswise may wait for each other. PostgreSQL ends one of them, which then begins
anew, once: by then the other one has its keys.
"""

from typing import Any

from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import OperationalError

from broker.metering.correcting.correction_events import CORRECTION_TYPE, EVENT, EVENTS
from broker.metering.correcting.corrections import find_corrected_contracts, lock_corrected_runs, take_corrections
from broker.metering.events.outcomes import Outcome
from broker.metering.events.posted import Posted
from broker.metering.outside.measured import read_shapes
from broker.metering.taking.intake import take_measured
from broker.work import Work


async def take_reported(work: Work, posted: Posted) -> list[Outcome]:
    """Take the events of a request, each for itself; tells what became of each, in their order."""
    if len(posted.events) == 1:
        return await _take(work, posted)
    try:
        async with work.session.begin_nested():
            return await _take(work, posted)
    except OperationalError as error:
        if not isinstance(error.orig, DeadlockDetected):
            raise
    return await _take(work, posted)


async def _take(work: Work, posted: Posted) -> list[Outcome]:
    corrections = [place for place, document in enumerate(posted.events) if _is_correction(document)]
    if not corrections:
        return await take_measured(work, posted)
    measured = [place for place in range(len(posted.events)) if place not in set(corrections)]
    read = dict(zip(corrections, read_shapes(posted.pick(corrections), EVENT, EVENTS), strict=True))
    await lock_corrected_runs(work, read.values())
    corrected = await find_corrected_contracts(work, read.values())
    outcomes = dict(zip(measured, await take_measured(work, posted.pick(measured), corrected), strict=True))
    outcomes |= await take_corrections(work, read, posted.events)
    return [outcomes[place] for place in range(len(posted.events))]


def _is_correction(document: Any) -> bool:
    return isinstance(document, dict) and document.get("type") == CORRECTION_TYPE
