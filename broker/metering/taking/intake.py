"""Taking what sources have measured: each event is judged by itself, taken once for ever, stored and charged.

The order of locks: contracts, in the order of their ids; then keys, in theirs, as everywhere. So of those who send one
id at the same moment for usage of one contract, each waits before it has the key.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.errors import FieldError
from broker.ledger import service as ledger
from broker.metering.events.evidence import Doubt
from broker.metering.events.outcomes import ACCEPTED, CONFLICTING, DUPLICATE, Outcome, Verdict, reject
from broker.metering.events.posted import Posted
from broker.metering.keeping.quarantine import keep_in_quarantine
from broker.metering.keeping.storing import EventName, EventRow, claim_keys, find_same, store_events
from broker.metering.outside.measured import Invalid, MeasuredEvent, find_time_faults, read_measured
from broker.metering.outside.places import Place, Places, no_subject, read_places
from broker.metering.outside.sources import find_open_sources, no_source
from broker.metering.outside.streams import StreamKey, open_hold, open_streams
from broker.metering.tables import UsageSource, UsageStream
from broker.work import Work


@dataclass(frozen=True)
class Reported:
    """An event that may be charged: its place in the request, itself as it came, and whose usage it is."""

    position: int
    event: MeasuredEvent
    document: dict[str, Any]
    place: Place

    @property
    def stream_key(self) -> StreamKey:
        return StreamKey(self.event.source, self.place.project_id, self.event.data.gpu_type)

    @cached_property
    def key_row(self) -> EventRow:
        """Write what claims the event's key: it is the beginning of its row, too."""
        return {
            "source": self.event.source,
            "event_id": self.event.id,
            "customer_id": self.place.terms.customer_id,
            "ended_at": self.event.time.isoformat(),
            "event": self.document,
        }


async def take_measured(work: Work, posted: Posted, also_locked: Collection[str] = ()) -> list[Outcome]:
    """Take events that sources have measured, each for itself; tells what became of each, in their order.

    `also_locked` are the contracts that the same transaction locks for something else.
    """
    outcomes: dict[int, Outcome] = {}
    fresh: dict[EventName, Reported] = {}
    judged = await _judge(work, posted, outcomes)
    repeated = [each for each in judged if fresh.setdefault(each.event.name, each) is not each]
    locked = await contracts.lock_contracts(work, {*(each.place.terms.id for each in fresh.values()), *also_locked})
    accepted, known = await _claim(work, list(fresh.values()))
    await _compare(work, [*known, *repeated], outcomes)
    for each in accepted:
        outcomes[each.position] = ACCEPTED
    by_contract = _share_out(accepted)
    for contract_id in sorted(by_contract):
        await _take(work, locked[contract_id], by_contract[contract_id], outcomes)
    return [outcomes[position] for position in range(len(posted.events))]


async def _judge(work: Work, posted: Posted, outcomes: dict[int, Outcome]) -> list[Reported]:
    """Judge each event by itself; those that cannot be taken get their outcome, the others are returned."""
    read = read_measured(posted)
    events = [event for event in read if isinstance(event, MeasuredEvent)]
    if not events:
        sources, places = dict[str, UsageSource](), Places({}, {})
    else:
        sources = await find_open_sources(work, {event.source for event in events})
        places = await read_places(work, events)
    reported = []
    for position, event in enumerate(read):
        judged = event if isinstance(event, Invalid) else _place(work, event, sources.get(event.source), places)
        if isinstance(judged, Invalid):
            outcomes[position] = reject(judged.faults)
        elif isinstance(event, MeasuredEvent):
            reported.append(Reported(position, event, posted.events[position], judged))
    return reported


def _place(work: Work, event: MeasuredEvent, source: UsageSource | None, places: Places) -> Place | Invalid:
    if source is None:
        return Invalid([no_source()])
    place = places.find(event)
    if isinstance(place, FieldError):
        return Invalid([place])
    if source.customer_id not in {None, place.terms.customer_id}:
        return Invalid([no_subject(event)])
    faults = find_time_faults(event, place.terms, work.now)
    return Invalid(faults) if faults else place


async def _claim(work: Work, fresh: Sequence[Reported]) -> tuple[list[Reported], list[Reported]]:
    """Take the keys of events; returns those that are new, and those whose keys were taken before."""
    if not fresh:
        return [], []
    claimed = await claim_keys(work, [each.key_row for each in fresh])
    new = [each for each in fresh if each.event.name in claimed]
    return new, [each for each in fresh if each.event.name not in claimed]


async def _compare(work: Work, known: Sequence[Reported], outcomes: dict[int, Outcome]) -> None:
    """Compare events with what their keys were taken for, before or in this batch: the same once more, or another."""
    same = await find_same(work, [each.key_row for each in known])
    for place, each in enumerate(known):
        outcomes[each.position] = DUPLICATE if place in same else CONFLICTING


def _share_out(accepted: Sequence[Reported]) -> dict[str, list[Reported]]:
    members: defaultdict[str, list[Reported]] = defaultdict(list)
    for each in accepted:
        members[each.place.terms.id].append(each)
    return members


async def _take(work: Work, terms: ContractTerms, members: Sequence[Reported], outcomes: dict[int, Outcome]) -> None:
    """Store and charge what is new under one contract; nothing pays for what was used after its end."""
    late = [each for each in members if terms.ends_before(each.event.time)]
    for each in late:
        outcomes[each.position] = Outcome(Verdict.ACCEPTED, Doubt.CONTRACT_ENDED)
    if late:
        await keep_in_quarantine(work, [_quarantine_row(work, each) for each in late])
    await charge_reported(work, terms, [each for each in members if outcomes[each.position].doubt is None])


async def charge_reported(work: Work, terms: ContractTerms, members: Sequence[Reported]) -> None:
    """Store and charge events whose keys are taken, stream by stream. The caller holds the contract's lock."""
    by_stream: defaultdict[StreamKey, list[Reported]] = defaultdict(list)
    for each in sorted(members, key=lambda each: (each.event.time, each.event.name)):
        by_stream[each.stream_key].append(each)
    streams = await open_streams(work, terms, by_stream) if by_stream else {}
    for key, events in by_stream.items():
        await _charge(work, terms, streams[key], events)


async def _charge(work: Work, terms: ContractTerms, stream: UsageStream, events: Sequence[Reported]) -> None:
    """Store the events of one stream under numbers in the order of their times, and charge them as its intervals."""
    first = stream.last_sequence + 1
    stream.last_sequence += len(events)
    numbered, received_at = list(enumerate(events, first)), work.now.isoformat()
    await store_events(work, [_event_row(stream, number, each, received_at) for number, each in numbered])
    intervals = [
        ledger.UsageInterval(stream.id, number, each.event.data.usage, each.event.time) for number, each in numbered
    ]
    await ledger.capture_usage(work, await open_hold(work, terms, stream), intervals)


def _event_row(stream: UsageStream, sequence: int, each: Reported, received_at: str) -> EventRow:
    data, usage = each.event.data, each.event.data.usage
    return each.key_row | {
        "run_id": stream.id,
        "sequence": sequence,
        "contract_id": stream.contract_id,
        "project_id": stream.project_id,
        "job_id": each.place.job_id,
        "gpu_type": data.gpu_type,
        "labels": {**each.place.labels, **data.labels},
        "gpu_seconds": usage.gpu_seconds,
        "tokens": usage.tokens,
        "started_at": each.event.started_at.isoformat(),
        "received_at": received_at,
    }


def _quarantine_row(work: Work, each: Reported) -> EventRow:
    event, usage = each.event, each.event.data.usage
    return {
        "source": event.source,
        "event_id": event.id,
        "customer_id": each.place.terms.customer_id,
        "contract_id": each.place.terms.id,
        "job_id": each.place.job_id,
        "run_id": None,
        "sequence": None,
        "reason": Doubt.CONTRACT_ENDED.value,
        "gpu_seconds": usage.gpu_seconds,
        "tokens": usage.tokens,
        "started_at": event.started_at,
        "ended_at": event.time,
        "event": each.document,
        "received_at": work.now,
    }
