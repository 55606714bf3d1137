"""Which step an invoice takes at Stripe next, and what an answer means for the step that was sent. Pure.

What is to be done follows from what our books want and what Stripe has, never from what was done before: a process that
died anywhere goes on by asking again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class StepKind(StrEnum):
    """What we ask of Stripe."""

    CUSTOMER = "customer"
    INVOICE = "invoice"
    LINES = "lines"
    FINALIZE = "finalize"
    CREDIT_NOTE = "credit_note"
    REDUCE = "reduce"
    DELETE = "delete"
    VOID = "void"
    SETTLE = "settle"
    REFUND = "refund"


class StepState(StrEnum):
    """Where a step is in its life: to be sent, answered, refused by Stripe or our own check, or not wanted any more."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
    DROPPED = "dropped"


class StripeStatus(StrEnum):
    """What an invoice is at Stripe, as it last said; `none`: it does not have it yet."""

    NONE = "none"
    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"
    DELETED = "deleted"


@dataclass(frozen=True)
class OurInvoice:
    """What our books want of an invoice. Units: fen.

    `is_void`: it asks for nothing, and never will: void, or written off. `has_credit_notes`: some that Stripe does not
    have yet.
    """

    due_fen: int
    is_open: bool
    is_void: bool
    has_credit_notes: bool = False

    @property
    def is_wanted(self) -> bool:
        return self.is_open and self.due_fen > 0


@dataclass(frozen=True)
class TheirInvoice:
    """What Stripe has of an invoice. Units: fen."""

    has_customer: bool
    status: StripeStatus
    has_lines: bool
    remaining_fen: int


def plan_step(ours: OurInvoice, theirs: TheirInvoice) -> StepKind | None:
    """Plan the one step that an invoice takes next; None where Stripe has what our books want."""
    if theirs.status in {StripeStatus.NONE, StripeStatus.DRAFT}:
        return _plan_sending(ours, theirs)
    if ours.is_void and theirs.status == StripeStatus.OPEN:
        return StepKind.VOID  # what its credit notes take back is not asked for there any more
    if theirs.status in {StripeStatus.OPEN, StripeStatus.PAID}:
        if ours.has_credit_notes:
            return StepKind.CREDIT_NOTE
        if theirs.status == StripeStatus.OPEN:
            return _plan_open(ours, theirs)
    return None


def _plan_sending(ours: OurInvoice, theirs: TheirInvoice) -> StepKind | None:
    if not ours.is_wanted:
        return None if theirs.status == StripeStatus.NONE else StepKind.DELETE
    if not theirs.has_customer:
        return StepKind.CUSTOMER
    if theirs.status == StripeStatus.NONE:
        return StepKind.INVOICE
    return StepKind.FINALIZE if theirs.has_lines else StepKind.LINES


def _plan_open(ours: OurInvoice, theirs: TheirInvoice) -> StepKind | None:
    if not ours.is_wanted:
        return StepKind.SETTLE
    return StepKind.REDUCE if theirs.remaining_fen > ours.due_fen else None


class AnswerKind(StrEnum):
    """What came of a call.

    `silent`: no answer, so nobody knows whether it was done. `broken`: a 5xx, which Stripe would say again to the same
    key, done or not. `busy`: not now. `locked_out`: our key is not good. `refused`: it will never be done as it is.
    """

    DONE = "done"
    SILENT = "silent"
    BROKEN = "broken"
    BUSY = "busy"
    LOCKED_OUT = "locked_out"
    REFUSED = "refused"


# Stripe forgets keys after a day at the earliest: an hour is left for the call itself and for clocks.
KEY_LASTS = timedelta(hours=23)
# What was written is found by search within a minute.
SEARCH_LAG = timedelta(seconds=75)
FIRST_REST, LONGEST_REST = timedelta(seconds=2), timedelta(minutes=30)
MOST_DOUBLINGS = 10


@dataclass(frozen=True)
class Retry:
    """When a step is sent again, and whether by another key: then it is looked for before."""

    at: datetime
    with_new_key: bool


def plan_retry(answer: AnswerKind, *, failures: int, now: datetime) -> Retry | None:
    """Plan when a step is sent again; None where it never is. `failures` counts this one."""
    if answer in {AnswerKind.DONE, AnswerKind.REFUSED}:
        return None
    rest = min(FIRST_REST * 2 ** min(failures - 1, MOST_DOUBLINGS), LONGEST_REST)
    if answer == AnswerKind.BROKEN:
        return Retry(now + max(rest, SEARCH_LAG), with_new_key=True)
    return Retry(now + rest, with_new_key=False)


def is_key_old(key_sent_at: datetime | None, now: datetime) -> bool:
    """Tell whether Stripe may have forgotten the key of a step: it is looked for before it is sent again."""
    return key_sent_at is not None and now - key_sent_at >= KEY_LASTS
