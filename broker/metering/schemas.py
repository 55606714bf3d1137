"""API shapes of usage."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.http.plain_text import PlainText
from broker.http.sendable import make_sendable, write_sendable
from broker.http.shapes import RequestBody, read_fields
from broker.metering.events.evidence import EXPLANATIONS, Doubt
from broker.metering.events.outcomes import Outcome, Verdict, read_name
from broker.metering.reading.listing import UsagePage
from broker.metering.tables import QuarantineDecision, QuarantinedUsage, UsageEvent


class QuarantinedIntervalOut(BaseModel):
    """An interval of the request that is not charged: it waits in quarantine for finance to decide."""

    sequence: int = Field(description="Its number in the run.", examples=[7])
    reason: Doubt = Field(description="Why it is not charged.", examples=["outside_the_run"])
    message: str = Field(description="The reason in words.", examples=[EXPLANATIONS[Doubt.OVERLAPS]])

    @classmethod
    def list_of(cls, quarantined: Mapping[int, Doubt]) -> list["QuarantinedIntervalOut"]:
        return [cls(sequence=each, reason=doubt, message=EXPLANATIONS[doubt]) for each, doubt in quarantined.items()]


QUARANTINED = Field(
    description="Intervals of this request that are not charged, and why; do not send them again.",
    examples=[[{"sequence": 7, "reason": "outside_the_run"}]],
)


class QuarantinedUsageOut(BaseModel):
    """Usage in quarantine: evidence as it came, charged to nobody."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Its id.", examples=["qua_01k"])
    object: Literal["quarantined_usage"] = Field(
        default="quarantined_usage", description="Kind of object.", examples=["quarantined_usage"]
    )
    customer_id: str = Field(description="Whose usage it is.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract that would have been charged.", examples=["con_01k"])
    job_id: str | None = Field(description="The job; null: none is named.", examples=["job_01k"])
    run_id: str | None = Field(description="The run that reported it; null: a source did.", examples=["run_01k"])
    sequence: int | None = Field(description="Number of the interval in its run.", examples=[7])
    source: str = Field(description="The source of the event.", examples=["/runs/run_01k"])
    reason: Doubt = Field(description="Why it is not charged.", examples=["outside_the_run"])
    message: str = Field(description="The reason in words.", examples=[EXPLANATIONS[Doubt.OVERLAPS]])
    gpu_seconds: int = Field(description="GPU-seconds that it claims.", examples=[1_000_000_000])
    tokens: int = Field(description="Tokens that it claims.", examples=[0])
    started_at: datetime = Field(description="When it says that it began (UTC).", examples=["2001-01-01T00:00:00Z"])
    ended_at: datetime = Field(description="When it says that it ended (UTC).", examples=["2001-01-01T00:00:02Z"])
    received_at: datetime = Field(description="When the broker received it (UTC).", examples=["2026-11-24T10:00:02Z"])
    event: dict[str, Any] = Field(description="The CloudEvent as it came.", examples=[{"id": "run_01k/7"}])
    status: Literal["open", "charged", "dismissed"] = Field(
        description="`open`: nothing is decided; `charged`: after all; `dismissed`: for good.", examples=["open"]
    )
    decision_reason: str | None = Field(description="Why it was dismissed.", examples=["a test of the new meter"])
    decided_by: str | None = Field(description="The key that decided.", examples=["key_01k"])
    decided_at: datetime | None = Field(description="When it was decided (UTC).", examples=["2026-11-25T09:00:00Z"])

    @classmethod
    def of(cls, row: QuarantinedUsage, decision: QuarantineDecision | None) -> "QuarantinedUsageOut":
        own = read_fields(cls, row)
        decided = {
            "status": "open" if decision is None else decision.decision,
            "decision_reason": None if decision is None else decision.reason,
            "decided_by": None if decision is None else decision.decided_by,
            "decided_at": None if decision is None else decision.decided_at,
        }
        return cls.model_validate({**own, **decided, "message": EXPLANATIONS[Doubt(row.reason)]})


class DismissalIn(RequestBody):
    reason: PlainText = Field(
        min_length=1, max_length=1000, description="Why nobody is charged.", examples=["a test of the new meter"]
    )


class UsageIntervalOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["usage_interval"] = Field(
        default="usage_interval", description="Kind of object.", examples=["usage_interval"]
    )
    run_id: str = Field(description="The run, or the stream of a source, that reported it.", examples=["run_01k"])
    job_id: str = Field(description="The run's job.", examples=["job_01k"])
    sequence: int = Field(description="Number of the interval in its run.", examples=[0])
    source: str = Field(description="Who reported it.", examples=["/runs/run_01k"])
    event_id: str = Field(description="Id of the event.", examples=["run_01k/0"])
    corrects: str | None = Field(
        description="It is the difference that a correction makes to this earlier event; null: it is no correction.",
        examples=[None],
    )
    gpu_seconds: int = Field(description="GPU-seconds held; below zero where less was corrected.", examples=[2])
    tokens: int = Field(description="Non-padding tokens trained; below zero where less was corrected.", examples=[1024])
    started_at: datetime = Field(description="When it began (UTC).", examples=["2026-11-24T10:00:00Z"])
    ended_at: datetime = Field(description="When it ended (UTC).", examples=["2026-11-24T10:00:02Z"])
    checkpoint_step: int | None = Field(
        description="It ends where the checkpoint of this step was written; null: it ends at none.", examples=[100]
    )
    received_at: datetime = Field(description="When the broker stored it (UTC).", examples=["2026-11-24T10:00:02Z"])

    @classmethod
    def of(cls, row: UsageEvent) -> "UsageIntervalOut":
        return cls.model_validate(row)


class UsageListOut(BaseModel):
    data: list[UsageIntervalOut] = Field(description="The intervals, run by run.", examples=[[{"sequence": 0}]])
    next_cursor: str | None = Field(
        description="Send it as `cursor` for the next page; null on the last one.", examples=["WyJydW5fMDFrIl0="]
    )
    gpu_seconds: int = Field(description="Sum of the GPU-seconds of all intervals, not only these.", examples=[95])
    tokens: int = Field(description="Sum of the tokens of all intervals, not only these.", examples=[12840])

    @classmethod
    def of(cls, page: UsagePage) -> "UsageListOut":
        return cls(
            data=[UsageIntervalOut.of(row) for row in page.intervals],
            next_cursor=page.next_cursor,
            gpu_seconds=page.total.gpu_seconds,
            tokens=page.total.tokens,
        )


class FaultOut(BaseModel):
    """What is wrong with one field of an event, and the cure."""

    model_config = ConfigDict(from_attributes=True)

    field: str = Field(description="Path of the field in the event.", examples=["data.quantity"])
    message: str = Field(description="What is wrong.", examples=["Input should be greater than or equal to 0"])


class EventOutcomeOut(BaseModel):
    """What became of one event."""

    source: str | None = Field(description="The event's source, where it has one.", examples=["/inference/eu-1"])
    id: str | None = Field(description="The event's id, where it has one.", examples=["7f3a"])
    status: Verdict = Field(
        description="`accepted`: new, and rated or in quarantine; `duplicate`: known before, nothing was changed; "
        "`rejected`: not taken, see `errors`.",
        examples=["accepted"],
    )
    quarantined: Doubt | None = Field(description="Why it is in quarantine; null: it is not.", examples=[None])
    errors: list[FaultOut] = Field(description="Why it was rejected.", examples=[[]])

    @classmethod
    def of(cls, document: Any, outcome: Outcome) -> "EventOutcomeOut":
        source, event_id = make_sendable(list(read_name(document)))
        faults = [
            FaultOut(field=write_sendable(fault.field), message=write_sendable(fault.message))
            for fault in outcome.faults
        ]
        return cls(source=source, id=event_id, status=outcome.verdict, quarantined=outcome.doubt, errors=faults)


class UsageReceiptOut(BaseModel):
    """What became of the events of a request."""

    object: Literal["usage_receipt"] = Field(
        default="usage_receipt", description="Kind of object.", examples=["usage_receipt"]
    )
    accepted: int = Field(description="New events: rated, or in quarantine.", examples=[1])
    duplicates: int = Field(description="Events that were known before.", examples=[0])
    rejected: int = Field(description="Events that were not taken.", examples=[0])
    events: list[EventOutcomeOut] = Field(
        description="What became of each, in their order.", examples=[[{"id": "7f3a", "status": "accepted"}]]
    )
    acknowledged_sequence: int | None = Field(
        default=None, description="Of a run: every interval up to this one is kept; -1: none.", examples=[0]
    )
    quarantined: list[QuarantinedIntervalOut] = QUARANTINED

    @classmethod
    def of(cls, documents: Sequence[Any], outcomes: Sequence[Outcome]) -> "UsageReceiptOut":
        verdicts = Counter(outcome.verdict for outcome in outcomes)
        return cls(
            accepted=verdicts[Verdict.ACCEPTED],
            duplicates=verdicts[Verdict.DUPLICATE],
            rejected=verdicts[Verdict.REJECTED],
            events=[EventOutcomeOut.of(*pair) for pair in zip(documents, outcomes, strict=True)],
            quarantined=[],
        )
