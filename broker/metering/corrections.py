"""Corrections: a source says anew how much an earlier event of its own was. Both stay visible, and the difference is
charged, or taken back.

A correction is a usage event of the difference, in the hour of the event that it corrects. What is taken back has the
earlier event's own number, what is charged more a new one: so each charge is still the sum of its events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import func, select

from broker.contracts import service as contracts
from broker.errors import FieldError
from broker.http.shapes import Moment
from broker.ledger import service as ledger
from broker.metering.measured import MAX_NAME, NAME_PATTERN, Invalid
from broker.metering.model import MAX_QUANTITY
from broker.metering.outcomes import ACCEPTED, CONFLICTING, DUPLICATE, Outcome, reject
from broker.metering.sources import find_open_sources, no_source
from broker.metering.storing import EventRow, claim_keys, find_same, store_events
from broker.metering.streams import open_hold
from broker.metering.tables import UsageEvent, UsageEventKey, UsageStream
from broker.work import Work
from pricing.usage import Usage

CORRECTION_TYPE = "lora.usage.correction"


class CorrectionData(BaseModel):
    """How much an earlier event really was. Units: those of its meter."""

    model_config = ConfigDict(extra="forbid")

    corrects: str = Field(
        min_length=1, max_length=MAX_NAME, description="Id of the earlier event of this source.", examples=["7f3a"]
    )
    quantity: int = Field(ge=0, le=MAX_QUANTITY, description="How much it really was; 0: nothing.", examples=[1000])
    reason: str = Field(
        min_length=1, max_length=1000, description="Why, for people.", examples=["counted twice by a retry"]
    )


class CorrectionEvent(BaseModel):
    """A CloudEvents 1.0 envelope around the correction of an earlier event of the same source."""

    model_config = ConfigDict(extra="ignore")

    specversion: Literal["1.0"] = Field(description="CloudEvents version.", examples=["1.0"])
    id: str = Field(min_length=1, max_length=MAX_NAME, description="Names this correction.", examples=["7f3a-1"])
    source: str = Field(
        pattern=NAME_PATTERN, max_length=MAX_NAME, description="A registered source.", examples=["/inference/eu-1"]
    )
    type: Literal["lora.usage.correction"] = Field(description="Kind of event.", examples=[CORRECTION_TYPE])
    time: Moment = Field(description="When it was corrected (UTC).", examples=["2026-11-24T12:00:00Z"])
    data: CorrectionData = Field(description="The correction.", examples=[{"corrects": "7f3a", "quantity": 1000}])


EVENT = TypeAdapter(CorrectionEvent)
EVENTS = TypeAdapter(list[CorrectionEvent])


@dataclass(frozen=True)
class Corrected:
    """An event that is corrected, and its usage as it was told last."""

    event: UsageEvent
    usage: Usage

    def compute_change(self, quantity: int) -> Usage:
        """Compute by how much usage changes, below zero too, where the event's meter counts so much instead."""
        is_of_tokens = self.event.tokens > 0 or self.event.event["data"]["meter"] == "tokens"
        return (Usage(0, quantity) if is_of_tokens else Usage(quantity, 0)) - self.usage


async def take_corrections(
    work: Work, read: Mapping[int, CorrectionEvent | Invalid], documents: Sequence[Any]
) -> dict[int, Outcome]:
    """Take corrections, by their places in the request, one after the other; tells what became of each."""
    events = [event for event in read.values() if isinstance(event, CorrectionEvent)]
    sources = await find_open_sources(work, {event.source for event in events}) if events else {}
    outcomes = {}
    for place, event in read.items():
        if isinstance(event, Invalid):
            outcomes[place] = reject(event.faults)
        elif event.source not in sources:
            outcomes[place] = reject([no_source()])
        else:
            outcomes[place] = await _take(work, event, documents[place])
    return outcomes


async def _take(work: Work, event: CorrectionEvent, document: dict[str, Any]) -> Outcome:
    earlier = await _find_event(work, event)
    if isinstance(earlier, FieldError):
        return reject([earlier])
    key = {
        "source": event.source,
        "event_id": event.id,
        "customer_id": earlier.customer_id,
        "ended_at": earlier.ended_at.isoformat(),
        "event": document,
    }
    if not await claim_keys(work, [key]):
        return DUPLICATE if await find_same(work, [key]) else CONFLICTING
    await _correct(work, earlier, event.data.quantity, key)
    return ACCEPTED


async def _find_event(work: Work, correction: CorrectionEvent) -> UsageEvent | FieldError:
    """Find the event that is corrected: one that was measured, and rated."""
    field, source, event_id = "data.corrects", correction.source, correction.data.corrects
    key = await work.session.get(UsageEventKey, (source, event_id))
    if key is None:
        return FieldError(field, f"there is no event {event_id} of this source")
    found = await work.session.get(UsageEvent, (source, event_id, key.ended_at))
    if found is None:
        return FieldError(field, "is in quarantine: nothing was charged of it, so there is nothing to correct")
    if found.corrects is not None:
        return FieldError(field, f"is a correction itself; correct {found.corrects} again")
    return found


async def _correct(work: Work, earlier: UsageEvent, quantity: int, key: EventRow) -> None:
    """Store the difference and charge it, or take it back, under the lock of the contract."""
    terms = await contracts.lock_contract(work, earlier.contract_id)
    stream = await work.session.get_one(UsageStream, earlier.run_id, populate_existing=True)
    change = (await _read_corrected(work, earlier)).compute_change(quantity)
    hold = await open_hold(work, terms, stream)
    is_more = change.gpu_seconds > 0 or change.tokens > 0
    if is_more:
        stream.last_sequence += 1
    sequence = stream.last_sequence if is_more else earlier.sequence
    await store_events(work, [_row(work, earlier, key, sequence, change)])
    if is_more:
        interval = ledger.UsageInterval(stream.id, sequence, change, earlier.ended_at)
        await ledger.capture_usage(work, hold, [interval])
    elif change != Usage():
        await ledger.correct_usage(work, hold, stream.id, earlier.sequence, Usage() - change)


async def _read_corrected(work: Work, earlier: UsageEvent) -> Corrected:
    sums = select(func.coalesce(func.sum(UsageEvent.gpu_seconds), 0), func.coalesce(func.sum(UsageEvent.tokens), 0))
    told = sums.where(
        UsageEvent.source == earlier.source,
        UsageEvent.ended_at == earlier.ended_at,
        (UsageEvent.event_id == earlier.event_id) | (UsageEvent.corrects == earlier.event_id),
    )
    return Corrected(earlier, Usage(*map(int, (await work.session.execute(told)).one())))


def _row(work: Work, earlier: UsageEvent, key: EventRow, sequence: int, change: Usage) -> EventRow:
    same = ("run_id", "contract_id", "project_id", "job_id", "gpu_type", "labels")
    return (
        key
        | {name: getattr(earlier, name) for name in same}
        | {
            "sequence": sequence,
            "corrects": earlier.event_id,
            "gpu_seconds": change.gpu_seconds,
            "tokens": change.tokens,
            "started_at": earlier.started_at.isoformat(),
            "received_at": work.now.isoformat(),
        }
    )
