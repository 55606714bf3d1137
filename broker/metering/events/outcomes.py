"""What became of each event of a request: accepted, known before, or rejected and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker import errors
from broker.errors import FieldError
from broker.metering.events.evidence import Doubt

CONFLICT = FieldError("id", "was sent before with another content; an event has one id for ever")


class Verdict(StrEnum):
    """What became of an event. An accepted one is rated, or in quarantine where there is a doubt."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Outcome:
    """What became of one event; `doubt` says why it is in quarantine, `faults` why it was rejected."""

    verdict: Verdict
    doubt: Doubt | None = None
    faults: Sequence[FieldError] = ()


ACCEPTED, DUPLICATE, CONFLICTING = (
    Outcome(Verdict.ACCEPTED),
    Outcome(Verdict.DUPLICATE),
    Outcome(Verdict.REJECTED, faults=(CONFLICT,)),
)


def reject(faults: Sequence[FieldError]) -> Outcome:
    return Outcome(Verdict.REJECTED, faults=faults)


def refuse_if_rejected(outcome: Outcome) -> None:
    """Answer the only event of a request that was rejected as any other bad request.

    Raises: EventConflict, InvalidRequest.
    """
    if outcome.verdict != Verdict.REJECTED:
        return
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in outcome.faults)
    kind = errors.EventConflict if outcome is CONFLICTING else errors.InvalidRequest
    raise kind(detail, errors=list(outcome.faults))


def read_name(document: Any) -> tuple[str | None, str | None]:
    """Read source and id of an event, as far as it has any, to be told in the answer."""
    if not isinstance(document, dict):
        return None, None
    source, event_id = (document.get(name) for name in ("source", "id"))
    return (
        source if isinstance(source, str) else None,
        event_id if isinstance(event_id, str) else None,
    )
