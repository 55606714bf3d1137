"""What is told of, to whom, and when it is tried again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

MOST_ATTEMPTS = 12
LONGEST_PAUSE = timedelta(hours=1)


class Language(StrEnum):
    """In which a contact is told."""

    ZH = "zh"
    EN = "en"


class NoticeStatus(StrEnum):
    """Whether a notice was sent: not yet, yes, or never, after all attempts or since its contact is gone."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True)
class Happening:
    """Something that customers are told of, of a contract or of none. `facts`: those that its feature has recorded."""

    event_id: str
    customer_id: str
    contract_id: str | None
    kind: str
    facts: Mapping[str, Any]
    created_at: datetime


def compute_pause(attempts: int) -> timedelta:
    """Compute how long to wait after so many attempts that failed: 10 s, 20 s, 40 s … at most an hour."""
    return min(LONGEST_PAUSE, timedelta(seconds=10 * 2 ** (min(attempts, MOST_ATTEMPTS) - 1)))
