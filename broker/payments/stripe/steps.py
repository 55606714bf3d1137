"""Steps at Stripe as rows: written with what asks for them, taken by one process at a time, ended by an answer."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from broker.payments.stripe.bodies import Body
from broker.payments.stripe.calls import Sending
from broker.payments.stripe.client import LEASE_SECONDS
from broker.payments.stripe.keys import make_key
from broker.payments.stripe.model import AnswerKind, StepKind, StepState, is_key_old, plan_retry
from broker.payments.stripe.tables import StripeStep
from broker.work import Work

LIVE = (StepState.WAITING.value, StepState.DONE.value, StepState.REFUSED.value)


@dataclass(frozen=True)
class NewStep:
    """A step to be written: about which object of ours, at which object of Stripe's."""

    kind: StepKind
    object_id: str
    customer_id: str
    body: Body = field(default_factory=dict)
    target: str = ""
    invoice_id: str | None = None
    part: str = ""


async def write_step(work: Work, new: NewStep) -> None:
    """Write a step that is sent after this transaction; the same one twice is one."""
    await _insert(work, new, StepState.WAITING)


async def note_done(work: Work, new: NewStep) -> None:
    """Note as done what needs no call: Stripe was never asked for it."""
    await _insert(work, new, StepState.DONE)


async def _insert(work: Work, new: NewStep, state: StepState) -> None:
    before = await _count(work, new.object_id, new.kind)
    row = {
        "customer_id": new.customer_id,
        "invoice_id": new.invoice_id,
        "object_id": new.object_id,
        "step": _name_step(new, before),
        "kind": new.kind.value,
        "params": {"target": new.target, "body": new.body},
        "state": state.value,
        "key_number": 1,
        "must_search": False,
        "failures": 0,
        "not_before": work.now,
        "created_at": work.now,
        "ended_at": None if state == StepState.WAITING else work.now,
    }
    await work.session.execute(insert(StripeStep).values(row).on_conflict_do_nothing())


def _name_step(new: NewStep, before: int) -> str:
    if new.part:
        return f"{new.kind.value}-{new.part}"
    return new.kind.value if not before else f"{new.kind.value}-{before + 1}"


async def _count(work: Work, object_id: str, kind: StepKind) -> int:
    query = select(func.count()).where(StripeStep.object_id == object_id, StripeStep.kind == kind.value)
    return int(await work.session.scalar(query) or 0)


async def has_waiting(work: Work, invoice_id: str) -> bool:
    """Tell whether a step of an invoice is under way."""
    query = select(StripeStep.id).where(
        StripeStep.invoice_id == invoice_id,
        StripeStep.state == StepState.WAITING.value,
        StripeStep.kind != StepKind.REFUND.value,
    )
    return await work.session.scalar(query.limit(1)) is not None


async def has_live_step(work: Work, object_id: str, kind: StepKind) -> bool:
    """Tell whether an object has a step of a kind that was not given up."""
    query = select(StripeStep.id).where(
        StripeStep.object_id == object_id, StripeStep.kind == kind.value, StripeStep.state.in_(LIVE)
    )
    return await work.session.scalar(query.limit(1)) is not None


async def list_sent(work: Work, object_ids: Collection[str]) -> set[str]:
    """List which of these objects have a step that was not given up."""
    query = select(StripeStep.object_id).where(StripeStep.object_id.in_(object_ids), StripeStep.state.in_(LIVE))
    return set((await work.session.scalars(query)).all())


async def take_step(work: Work) -> StripeStep | None:
    """Take the oldest step that is due, for as long as a process may need for it; None where there is none."""
    query = (
        select(StripeStep)
        .where(StripeStep.state == StepState.WAITING.value, StripeStep.not_before <= work.now)
        .order_by(StripeStep.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    step = (await work.session.scalars(query)).one_or_none()
    if step is not None:
        step.not_before = work.now + timedelta(seconds=LEASE_SECONDS)
    return step


def begin_sending(work: Work, step: StripeStep) -> Sending:
    """Begin to send a step that was taken; a key that Stripe may have forgotten is one more reason to look first."""
    if is_key_old(step.key_sent_at, work.now):
        use_new_key(step)
    looks_first = step.must_search
    if step.key_sent_at is None:
        step.key_sent_at = work.now
    key = make_key(step.object_id, step.step, step.params, number=step.key_number)
    return Sending(
        StepKind(step.kind), step.object_id, step.params["target"], step.params["body"], key, looks_first=looks_first
    )


def use_new_key(step: StripeStep) -> None:
    """Use another key from now on; what was done under the one before is looked for."""
    step.key_number += 1
    step.key_sent_at, step.must_search = None, True


async def lock_step(work: Work, step_id: int) -> StripeStep | None:
    """Lock a step that waits for its answer; None where another process has noted it."""
    step = await work.session.get(StripeStep, step_id, with_for_update=True, populate_existing=True)
    return step if step is not None and step.state == StepState.WAITING else None


def end_step(work: Work, step: StripeStep, state: StepState, *, stripe_id: str | None = None) -> None:
    step.state, step.ended_at = state.value, work.now
    step.stripe_id = stripe_id
    if state == StepState.DONE:
        step.last_error = None


def put_off(work: Work, step: StripeStep, answer: AnswerKind, said: str) -> bool:
    """Put a step off until it is sent again; tells whether it ever is."""
    step.failures += 1
    step.last_error = said
    retry = plan_retry(answer, failures=step.failures, now=work.now)
    if retry is None:
        return False
    step.not_before = retry.at
    if retry.with_new_key:
        use_new_key(step)
    return True


async def list_steps(work: Work, invoice_id: str) -> list[StripeStep]:
    """List the steps of an invoice in their order."""
    query = select(StripeStep).where(StripeStep.invoice_id == invoice_id).order_by(StripeStep.id)
    return list((await work.session.scalars(query)).all())


async def find_step(work: Work, kind: StepKind, stripe_id: str) -> StripeStep | None:
    """Find the step that made an object of Stripe's."""
    query = select(StripeStep).where(StripeStep.kind == kind.value, StripeStep.stripe_id == stripe_id)
    return (await work.session.scalars(query)).one_or_none()
