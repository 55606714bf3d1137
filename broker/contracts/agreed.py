"""What a contract agrees on beside plan and prices: payment, and how long each state of arrears lasts. Pure."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class ArrearsTerms:
    """How many days an unpaid contract stays in each state of arrears."""

    grace_days: int = 7
    suspended_days: int = 15
    retention_days: int = 30


DEFAULT_ARREARS, DEFAULT_PAYMENT_DAYS = ArrearsTerms(), 30


class ContractStatus(StrEnum):
    """Where a contract is in its life, as its dates and its cancellation say."""

    UPCOMING = "upcoming"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"
