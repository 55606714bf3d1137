"""The relay: what is to be done at Stripe is planned, sent after the commit, and its answer noted, each by itself.

It can be killed anywhere. A step that was taken and not answered is taken again after its lease, with the same key.
"""

import logging
from dataclasses import dataclass, field

import stripe

from broker.errors import DomainError
from broker.failure_log import describe_failure
from broker.payments.stripe import calls, refunds
from broker.payments.stripe.calls import Mismatch, Sending
from broker.payments.stripe.client import StripeAccess, StripeAway, classify_error, describe_error
from broker.payments.stripe.events import handle_event
from broker.payments.stripe.fetching import Fetched, ForeignCurrency, NotBooked, fetch_whole, note_fetched
from broker.payments.stripe.invoices import (
    begin_collection,
    list_to_plan,
    list_to_send,
    list_unsent,
    lock_row,
    note_deleted,
)
from broker.payments.stripe.model import AnswerKind, StepKind, StepState
from broker.payments.stripe.planning import is_wanted, plan_invoice
from broker.payments.stripe.reconciling import read_stripe, reconcile
from broker.payments.stripe.steps import begin_sending, end_step, lock_step, put_off, take_step
from broker.payments.stripe.tables import StripeCustomer, StripeStep
from broker.payments.webhooks.receiving import STRIPE, put_event_off, take_event
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)

# Steps that only make sense while the invoice is to be paid: one that was never sent is dropped where it is not.
WHILE_WANTED = frozenset({StepKind.INVOICE, StepKind.LINES, StepKind.FINALIZE})
# Steps that Stripe refuses where its invoice has changed meanwhile, such as being paid: another one is planned then.
CHANGING = frozenset(
    {StepKind.FINALIZE, StepKind.CREDIT_NOTE, StepKind.REDUCE, StepKind.DELETE, StepKind.VOID, StepKind.SETTLE}
)
OF_NO_INVOICE = frozenset({StepKind.CUSTOMER, StepKind.REFUND})
# What keeps an event from being handled that is Stripe's fault, or its own.
NOT_OURS = (stripe.StripeError, DomainError, ForeignCurrency, NotBooked)


@dataclass(frozen=True)
class Answer:
    """What came of a step; `fetched` is its invoice as Stripe has it after that."""

    kind: AnswerKind
    said: str = ""
    stripe_id: str | None = None
    fetched: Fetched | None = None


@dataclass
class StripeRelay:
    """What one process does of it; several share the work by locks."""

    system: System
    access: StripeAccess
    is_checked: bool = field(default=False)

    async def run(self) -> None:
        """Plan, send and handle all that is due. Raises: WrongAccount, StripeAway."""
        if not self.is_checked:
            await self.access.check_account()
            self.is_checked = True
        await self.plan()
        while await self.send_next():
            pass
        while await self.handle_next():
            pass

    async def reconcile(self) -> None:
        """Compare our books with all that Stripe has, and look again at what differs. Raises: StripeAway."""
        try:
            there = await read_stripe(self.access, now=self.system.services.now)
        except stripe.StripeError as error:
            raise StripeAway(f"Stripe cannot be compared with our books: {describe_error(error)}") from error
        async with self.system.work() as work:
            found = await reconcile(work, there)
        for each in found:
            log.error("our books and Stripe differ: %s of %s", each.kind, each.invoice_id or each.stripe_id)

    async def plan(self) -> None:
        """Plan the next step of each invoice that needs one; each in a transaction of its own."""
        async with self.system.work() as work:
            new = await list_to_send(work)
        await self.system.work_on(new, begin_collection)
        async with self.system.work() as work:
            waiting = await list_to_plan(work)
        await self.system.work_on(waiting, plan_invoice)

    async def send_next(self) -> bool:
        """Send the next step that is due; tells whether there was one."""
        async with self.system.work() as work:
            step = await take_step(work)
            if step is None:
                return False
            if await _is_over(work, step):
                end_step(work, step, StepState.DROPPED)
                return True
            step_id, sending = step.id, begin_sending(work, step)
        answer = await self._send(sending)
        async with self.system.work() as work:
            concerned = await note_answer(work, step_id, answer)
        await self.system.work_on(concerned, plan_invoice)
        return True

    async def _send(self, sending: Sending) -> Answer:
        try:
            return await self.access.ask(lambda client: _send_and_fetch(client, sending))
        except Mismatch as mismatch:
            return Answer(AnswerKind.REFUSED, str(mismatch))
        except stripe.StripeError as error:
            answer = Answer(classify_error(error), describe_error(error))
        if answer.kind != AnswerKind.REFUSED or sending.kind not in CHANGING:
            return answer
        return Answer(answer.kind, answer.said, fetched=await self._fetch(sending.target))

    async def _fetch(self, stripe_id: str) -> Fetched | None:
        try:
            return await self.access.ask(lambda client: fetch_whole(client, stripe_id))
        except stripe.StripeError:
            return None

    async def handle_next(self) -> bool:
        """Handle the next event that waits; tells whether there was one. One that cannot be handled is put off."""
        async with self.system.work() as work:
            event = await take_event(work, STRIPE)
        if event is None:
            return False
        try:
            await handle_event(self.system, self.access, event)
        except Exception as error:  # noqa: BLE001 (it is told, and tried again)
            self.system.services.note_failure(f"event {event.type} of Stripe", error, NOT_OURS)
            async with self.system.work() as work:
                await put_event_off(work, event.id, f"{type(error).__name__}: {describe_failure(error)}"[:500])
        return True


def _send_and_fetch(client: stripe.StripeClient, sending: Sending) -> Answer:
    done = calls.send_step(client, sending)
    if sending.kind in OF_NO_INVOICE or sending.kind == StepKind.DELETE:
        return Answer(AnswerKind.DONE, stripe_id=done)
    invoice_id = done if sending.kind == StepKind.INVOICE else sending.target
    return Answer(AnswerKind.DONE, stripe_id=done, fetched=fetch_whole(client, invoice_id))


async def _is_over(work: Work, step: StripeStep) -> bool:
    """Tell whether a step that was never sent is not wanted any more."""
    if step.invoice_id is None or step.key_sent_at is not None or step.must_search:
        return False
    return StepKind(step.kind) in WHILE_WANTED and not await is_wanted(work, step.invoice_id)


async def note_answer(work: Work, step_id: int, answer: Answer) -> list[str]:
    """Note what came of a step; returns the invoices for which the next one is to be planned."""
    step = await lock_step(work, step_id)
    if step is None:
        return []
    if answer.kind == AnswerKind.DONE:
        end_step(work, step, StepState.DONE, stripe_id=answer.stripe_id)
        log.info("Stripe has done %s of %s: %s", step.step, step.object_id, answer.stripe_id)
        await _note_done(work, step, answer)
    elif not put_off(work, step, answer.kind, answer.said):
        await _note_refused(work, step, answer)
    if step.kind == StepKind.CUSTOMER:
        return await list_unsent(work, step.object_id)
    return [] if step.invoice_id is None else [step.invoice_id]


async def _note_done(work: Work, step: StripeStep, answer: Answer) -> None:
    kind = StepKind(step.kind)
    if kind == StepKind.CUSTOMER:
        customer = await work.session.get_one(StripeCustomer, step.object_id, with_for_update=True)
        customer.stripe_id, customer.changed_at = answer.stripe_id, work.now
    elif kind == StepKind.REFUND:
        await refunds.note_part(work, step)
    elif step.invoice_id is not None:
        row = await lock_row(work, step.invoice_id)
        row.has_lines = row.has_lines or kind == StepKind.LINES
        if kind == StepKind.DELETE:
            await note_deleted(work, row)
        if answer.fetched is not None:
            await note_fetched(work, row, answer.fetched)


async def _note_refused(work: Work, step: StripeStep, answer: Answer) -> None:
    """Note that Stripe, or our own check, refused a step: planned anew where Stripe's invoice has changed meanwhile."""
    if step.kind == StepKind.REFUND:
        end_step(work, step, StepState.REFUSED)
        await refunds.note_part(work, step)
        return
    if step.invoice_id is None:
        end_step(work, step, StepState.REFUSED)
        return
    log.warning("Stripe refused %s of %s: %s", step.step, step.object_id, answer.said)
    row = await lock_row(work, step.invoice_id)
    known = (row.status, row.remaining_fen)
    if answer.fetched is not None:
        await note_fetched(work, row, answer.fetched)
    has_changed = known != (row.status, row.remaining_fen)
    end_step(work, step, StepState.DROPPED if has_changed else StepState.REFUSED)
    if not has_changed:
        row.problem = answer.said
