"""Which step comes next, from every state of both sides; and when a step is sent again."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.payments.stripe.model import (
    AnswerKind,
    OurInvoice,
    StepKind,
    StripeStatus,
    TheirInvoice,
    is_key_old,
    plan_retry,
    plan_step,
)

NOW = datetime(2026, 12, 1, tzinfo=UTC)
WANTED = OurInvoice(due_fen=100, is_open=True, is_void=False)
PAID = OurInvoice(due_fen=0, is_open=False, is_void=False)
VOID = OurInvoice(due_fen=0, is_open=False, is_void=True)
NOTHING = TheirInvoice(has_customer=False, status=StripeStatus.NONE, has_lines=False, remaining_fen=0)
KNOWN = replace(NOTHING, has_customer=True)
DRAFT = replace(KNOWN, status=StripeStatus.DRAFT)
FILLED = replace(DRAFT, has_lines=True, remaining_fen=100)
OPEN = replace(FILLED, status=StripeStatus.OPEN)
DONE = replace(OPEN, status=StripeStatus.PAID, remaining_fen=0)


@pytest.mark.parametrize(
    ("ours", "theirs", "step"),
    [
        (WANTED, NOTHING, StepKind.CUSTOMER),
        (WANTED, KNOWN, StepKind.INVOICE),
        (WANTED, DRAFT, StepKind.LINES),
        (WANTED, FILLED, StepKind.FINALIZE),
        (WANTED, OPEN, None),
        (replace(WANTED, due_fen=60), OPEN, StepKind.REDUCE),
        (replace(WANTED, due_fen=60, has_credit_notes=True), OPEN, StepKind.CREDIT_NOTE),
        (replace(WANTED, due_fen=120), OPEN, None),
        (PAID, OPEN, StepKind.SETTLE),
        (VOID, OPEN, StepKind.VOID),
        (replace(VOID, has_credit_notes=True), OPEN, StepKind.VOID),
        (replace(VOID, has_credit_notes=True), DONE, StepKind.CREDIT_NOTE),
        (replace(VOID, has_credit_notes=True), NOTHING, None),
        (PAID, DONE, None),
        (replace(PAID, has_credit_notes=True), DONE, StepKind.CREDIT_NOTE),
        (PAID, NOTHING, None),
        (PAID, KNOWN, None),
        (VOID, DRAFT, StepKind.DELETE),
        (PAID, FILLED, StepKind.DELETE),
        (VOID, replace(OPEN, status=StripeStatus.VOID), None),
        (WANTED, replace(DRAFT, status=StripeStatus.DELETED), None),
        (WANTED, replace(OPEN, status=StripeStatus.VOID), None),
    ],
)
def test_next_step_follows_from_what_both_sides_have(
    ours: OurInvoice, theirs: TheirInvoice, step: StepKind | None
) -> None:
    assert plan_step(ours, theirs) == step


@dataclass
class Both:
    """Both sides, with each step done as Stripe does it."""

    ours: OurInvoice
    theirs: TheirInvoice

    def do(self, step: StepKind) -> None:
        theirs, due = self.theirs, self.ours.due_fen
        done = {
            StepKind.CUSTOMER: {"has_customer": True},
            StepKind.INVOICE: {"status": StripeStatus.DRAFT},
            StepKind.LINES: {"has_lines": True, "remaining_fen": due},
            StepKind.FINALIZE: {"status": StripeStatus.OPEN},
            StepKind.CREDIT_NOTE: {"remaining_fen": min(theirs.remaining_fen, due)},
            StepKind.REDUCE: {"remaining_fen": due},
            StepKind.DELETE: {"status": StripeStatus.DELETED},
            StepKind.VOID: {"status": StripeStatus.VOID},
            StepKind.SETTLE: {"status": StripeStatus.PAID, "remaining_fen": 0},
        }[step]
        if step == StepKind.CREDIT_NOTE:
            self.ours = replace(self.ours, has_credit_notes=False)
        self.theirs = replace(theirs, **done)


OURS = st.builds(
    OurInvoice,
    due_fen=st.integers(0, 200),
    is_open=st.booleans(),
    is_void=st.booleans(),
    has_credit_notes=st.booleans(),
).filter(lambda each: not (each.is_void and each.is_open) and (each.due_fen == 0 or each.is_open))
THEIRS = st.builds(
    TheirInvoice,
    has_customer=st.booleans(),
    status=st.sampled_from(StripeStatus),
    has_lines=st.booleans(),
    remaining_fen=st.integers(0, 200),
)


@given(ours=OURS, theirs=THEIRS)
def test_from_any_state_it_comes_to_rest_with_no_more_asked_than_is_due(ours: OurInvoice, theirs: TheirInvoice) -> None:
    both = Both(ours, theirs)
    for _ in range(8):
        step = plan_step(both.ours, both.theirs)
        if step is None:
            break
        both.do(step)
    assert plan_step(both.ours, both.theirs) is None
    if both.theirs.status == StripeStatus.OPEN:
        assert both.ours.is_wanted
        assert both.theirs.remaining_fen <= both.ours.due_fen


@pytest.mark.parametrize("answer", [AnswerKind.DONE, AnswerKind.REFUSED])
def test_what_was_decided_is_never_sent_again(answer: AnswerKind) -> None:
    assert plan_retry(answer, failures=1, now=NOW) is None


@pytest.mark.parametrize("answer", [AnswerKind.SILENT, AnswerKind.BUSY, AnswerKind.LOCKED_OUT])
def test_what_may_have_been_done_unseen_is_sent_again_with_its_key(answer: AnswerKind) -> None:
    retry = plan_retry(answer, failures=1, now=NOW)
    assert retry is not None
    assert (retry.at, retry.with_new_key) == (NOW + timedelta(seconds=2), False)


def test_saved_500_is_not_asked_for_again_but_looked_behind_when_search_can_see_it() -> None:
    retry = plan_retry(AnswerKind.BROKEN, failures=1, now=NOW)
    assert retry is not None
    assert retry.with_new_key
    assert retry.at - NOW > timedelta(minutes=1)


def test_rests_grow_to_half_an_hour() -> None:
    rests = [plan_retry(AnswerKind.SILENT, failures=count, now=NOW) for count in (1, 2, 3, 20, 5000)]
    seconds = [int((each.at - NOW).total_seconds()) for each in rests if each is not None]
    assert seconds == [2, 4, 8, 1800, 1800]


def test_key_is_old_before_stripe_forgets_it() -> None:
    assert not is_key_old(None, NOW)
    assert not is_key_old(NOW - timedelta(hours=22), NOW)
    assert is_key_old(NOW - timedelta(hours=23), NOW)
