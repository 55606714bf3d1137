"""What a contract agrees on beside plan and prices: payment, states of arrears, GPUs that it may always have. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from broker import errors
from pricing.tax import Tax, TaxMode


@dataclass(frozen=True)
class ArrearsTerms:
    """How many days an unpaid contract stays in each state of arrears."""

    grace_days: int = 7
    suspended_days: int = 15
    retention_days: int = 30


DEFAULT_ARREARS, DEFAULT_PAYMENT_DAYS = ArrearsTerms(), 30


@dataclass(frozen=True)
class GuaranteedGpus:
    """GPUs of one type that a contract may always have; `price_micros` is what one of them costs a billing month."""

    gpu_type: str
    gpus: int
    price_micros: int


class Finalizing(StrEnum):
    """Who makes drafts final once they were open long enough to be checked: finance, or the broker by itself."""

    BY_HAND = "by_hand"
    AUTOMATIC = "automatic"


class TrueUpRule(StrEnum):
    """When hours that were committed to and not used are charged: at the end of the term, or of each of its years."""

    AT_END = "at_end"
    YEARLY = "yearly"


class ContractStatus(StrEnum):
    """Where a contract is in its life, as its dates and its cancellation say."""

    UPCOMING = "upcoming"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"


def make_no_true_up() -> errors.InvalidRequest:
    """Make the refusal of yearly true-ups where there are none."""
    told = "yearly needs hours that are committed to and paid as they are used (long_term); leave it out for others"
    return errors.invalid_field("true_up", told)


def make_no_rollover() -> errors.InvalidRequest:
    """Make the refusal of a rollover of hours that a true-up charges where nobody uses them."""
    told = "carry is for hours that are paid ahead (prepaid); a true-up charges what is unused of others: leave it out"
    return errors.invalid_field("rollover", told)


def make_no_guarantee() -> errors.InvalidRequest:
    """Make the refusal of guaranteed GPUs where the plan has no queue that they would serve."""
    told = "serve a queue of the contract's own, which the plan long_term has; leave them out for others"
    return errors.invalid_field("guaranteed_gpus", told)


def make_tax(mode: TaxMode, rate: Decimal | None) -> Tax:
    """Make the tax of a contract's invoices. Raises: InvalidRequest, where mode and rate do not go together."""
    if mode == TaxMode.NONE and rate is not None:
        raise errors.invalid_field("tax_rate", "has a meaning only where tax_mode is on_top or included")
    if mode != TaxMode.NONE and rate is None:
        raise errors.invalid_field("tax_rate", f"is needed where tax_mode is {mode.value}")
    return Tax(mode, rate or Decimal(0))
