"""Corrections: somebody says anew how much an earlier event was. Both stay visible, and the difference is charged, or
taken back.

A correction is a usage event of the difference, in the hour and under the number of the event that it corrects: so each
charge is still the sum of its events. Sources correct what they measured, ops and administrators the intervals of runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from broker.errors import FieldError
from broker.jobs.running.locked_run import lock_runs, read_locked_runs
from broker.ledger import service as ledger
from broker.metering.correcting.corrected import lock_corrected
from broker.metering.correcting.correction_events import (
    EVENT,
    CorrectionEvent,
    find_measured,
    find_shape_faults,
    find_time_fault,
    settle_usage,
)
from broker.metering.events.evidence import EXPLANATIONS, Doubt
from broker.metering.events.outcomes import ACCEPTED, CONFLICTING, DUPLICATE, Outcome, reject
from broker.metering.keeping.storing import RUN_SOURCES, EventRow, claim_keys, find_same, store_events
from broker.metering.outside.measured import Invalid
from broker.metering.outside.sources import find_open_sources, no_source
from broker.metering.tables import UsageEvent, UsageEventKey
from broker.work import Role, Work
from pricing.usage import Usage

MAY_CORRECT_RUNS = frozenset({Role.OPS, Role.ADMIN})


async def lock_corrected_runs(work: Work, read: Iterable[CorrectionEvent | Invalid]) -> None:
    """Lock all runs that are corrected, and their jobs' holds, before any contract: as heartbeats lock theirs."""
    of_runs = [event for event in read if isinstance(event, CorrectionEvent) and event.is_of_run]
    if of_runs and work.actor.role in MAY_CORRECT_RUNS:
        runs = {event.source.removeprefix(RUN_SOURCES) for event in of_runs}
        locked = read_locked_runs(await work.run_together(lock_runs(runs, seen_by=work.seen_by)))
        await ledger.lock_hold_rows(work, {each.job.id for each in locked.by_id.values()})


async def find_corrected_contracts(work: Work, read: Iterable[CorrectionEvent | Invalid]) -> set[str]:
    """Find the contracts of the events that are corrected: their locks are taken together with all others."""
    events = [event for event in read if isinstance(event, CorrectionEvent)]
    found = [await _find_event(work, event) for event in events]
    return {event.contract_id for event in found if isinstance(event, UsageEvent)}


async def take_corrections(
    work: Work, read: Mapping[int, CorrectionEvent | Invalid], documents: Sequence[Any]
) -> dict[int, Outcome]:
    """Take corrections, by their places in the request, in the order of their keys; tells what became of each.

    The caller has locked their contracts, and has taken the keys of what was measured.
    """
    events = [event for event in read.values() if isinstance(event, CorrectionEvent)]
    sources = await find_open_sources(work, {event.source for event in events}) if events else {}
    outcomes = {place: reject(event.faults) for place, event in read.items() if isinstance(event, Invalid)}
    in_order = [(place, event) for place, event in read.items() if isinstance(event, CorrectionEvent)]
    for place, event in sorted(in_order, key=lambda each: (each[1].source, each[1].id)):
        faults = _find_faults(work, event, sources)
        outcomes[place] = reject(faults) if faults else await _take(work, event, documents[place])
    return outcomes


def _find_faults(work: Work, event: CorrectionEvent, sources: Mapping[str, Any]) -> list[FieldError]:
    if event.is_of_run and work.actor.role not in MAY_CORRECT_RUNS:
        return [FieldError("source", "is a run: its intervals are corrected by ops or an administrator")]
    if not event.is_of_run and event.source not in sources:
        return [no_source()]
    return find_shape_faults(event, work.now)


async def _take(work: Work, event: CorrectionEvent, document: dict[str, Any]) -> Outcome:
    earlier = await _find_event(work, event)
    if isinstance(earlier, FieldError):
        return reject([earlier])
    corrected = await lock_corrected(work, earlier)
    key = _key_row(event, earlier, document)
    if await work.session.get(UsageEventKey, (event.source, event.id)) is not None:
        return DUPLICATE if await find_same(work, [key]) else CONFLICTING
    settled, change = await _settle(work, earlier, event)
    fault = find_time_fault(event, earlier.ended_at) or _explain(corrected.doubt(settled, change))
    if fault is not None:
        return reject([fault])
    if not await claim_keys(work, [key]):
        return CONFLICTING
    await store_events(work, [_row(work, earlier, key, change)])
    if change != Usage():
        await corrected.charge(work, change, event)
    return ACCEPTED


async def _find_event(work: Work, correction: CorrectionEvent) -> UsageEvent | FieldError:
    """Find the event that is corrected: one that was measured, and rated."""
    field, source, event_id = "data.corrects", correction.source, correction.data.corrects
    key = await work.session.get(UsageEventKey, (source, event_id))
    if key is None:
        return FieldError(field, f"there is no event {event_id} of this source; send it again once that has come")
    found = await work.session.get(UsageEvent, (source, event_id, key.ended_at))
    if found is None:
        return FieldError(field, "is in quarantine: nothing was charged of it, so there is nothing to correct")
    if found.corrects is not None:
        return FieldError(field, f"is a correction itself; correct {found.corrects} again")
    if correction.subject not in {None, found.event.get("subject"), *_list_subjects(found)}:
        return FieldError("subject", f"is not that of event {event_id}; send the one that it has, or none")
    return found


def _list_subjects(event: UsageEvent) -> set[str | None]:
    """List what may stand for whose usage an event is."""
    return {event.contract_id, event.project_id, event.job_id, event.run_id}


async def _settle(work: Work, earlier: UsageEvent, correction: CorrectionEvent) -> tuple[Usage, Usage]:
    """Settle how much an event was, and by how much that changes, below zero too.

    Nothing changes where a later correction has come before.
    """
    query = select(UsageEvent).where(
        UsageEvent.source == earlier.source,
        UsageEvent.ended_at == earlier.ended_at,
        UsageEvent.corrects == earlier.event_id,
    )
    rows = (await work.session.scalars(query)).all()
    told = Usage(earlier.gpu_seconds, earlier.tokens)
    charged = sum((Usage(row.gpu_seconds, row.tokens) for row in rows), told)
    corrections = [*(EVENT.validate_python(row.event) for row in rows), correction]
    settled = settle_usage(told, find_measured(earlier.event), corrections)
    return settled, settled - charged


def _explain(doubt: Doubt | None) -> FieldError | None:
    if doubt is None:
        return None
    field = "data.tokens" if doubt == Doubt.MORE_TOKENS_THAN_THE_JOB else "data.gpu_seconds"
    return FieldError(field, EXPLANATIONS[doubt])


def _key_row(event: CorrectionEvent, earlier: UsageEvent, document: dict[str, Any]) -> EventRow:
    return {
        "source": event.source,
        "event_id": event.id,
        "customer_id": earlier.customer_id,
        "ended_at": earlier.ended_at.isoformat(),
        "event": document,
    }


def _row(work: Work, earlier: UsageEvent, key: EventRow, change: Usage) -> EventRow:
    same = ("run_id", "sequence", "contract_id", "project_id", "job_id", "gpu_type", "labels")
    return (
        key
        | {name: getattr(earlier, name) for name in same}
        | {
            "corrects": earlier.event_id,
            "gpu_seconds": change.gpu_seconds,
            "tokens": change.tokens,
            "started_at": earlier.started_at.isoformat(),
            "received_at": work.now.isoformat(),
        }
    )
