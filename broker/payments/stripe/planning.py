"""Which step an invoice takes at Stripe next, planned and written under the lock of its row."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.billing import credit_notes
from broker.billing import service as billing
from broker.billing.model import InvoiceStatus, LineKind
from broker.billing.payable import CreditNote, Invoice
from broker.contracts import service as contracts
from broker.identity import service as identity
from broker.payments.stripe import bodies
from broker.payments.stripe.bodies import Body, SentInvoice, Taken
from broker.payments.stripe.invoices import begin_anew, lock_row
from broker.payments.stripe.lines import MOST_FEN, BilledLine, SentLines, plan_lines
from broker.payments.stripe.model import OurInvoice, StepKind, StripeStatus, TheirInvoice, plan_step
from broker.payments.stripe.steps import NewStep, has_live_step, has_waiting, list_sent, note_done, write_step
from broker.payments.stripe.tables import StripeCustomer, StripeInvoice
from broker.work import Work
from pricing.money import MICROS_PER_FEN

ASKS_FOR_NOTHING = frozenset({InvoiceStatus.VOID, InvoiceStatus.WRITTEN_OFF})


@dataclass(frozen=True)
class Planned:
    """An invoice for which a step is planned: at Stripe, its customer, in our books, and its unsent credit notes."""

    row: StripeInvoice
    customer: StripeCustomer
    invoice: Invoice
    notes: Sequence[CreditNote]

    @property
    def due_fen(self) -> int:
        return self.invoice.due.micros // MICROS_PER_FEN

    @property
    def stripe_id(self) -> str:
        assert self.row.stripe_id is not None, "Stripe has the invoice"
        return self.row.stripe_id


async def plan_invoice(work: Work, invoice_id: str) -> None:
    """Plan the next step of an invoice, where none is under way; it is sent after this transaction."""
    row = await lock_row(work, invoice_id)
    if row.problem is not None or await has_waiting(work, invoice_id):
        return
    customer = await work.session.get_one(StripeCustomer, row.customer_id, with_for_update=True, populate_existing=True)
    invoice = await billing.get_invoice(work, invoice_id)
    if row.status == StripeStatus.DELETED and await is_wanted(work, invoice_id):
        begin_anew(row)
    planned = Planned(row, customer, invoice, await _list_unsent_notes(work, invoice_id))
    kind = plan_step(read_ours(planned), read_theirs(planned))
    row.settled = kind is None
    if kind == StepKind.CUSTOMER:
        await _write_customer(work, customer)
    elif kind is not None:
        await _write(work, kind, planned)


async def is_wanted(work: Work, invoice_id: str) -> bool:
    """Tell whether our books still want an invoice to be paid."""
    invoice = await billing.get_invoice(work, invoice_id)
    return invoice.status == InvoiceStatus.OPEN and invoice.due.micros > 0


def read_ours(planned: Planned) -> OurInvoice:
    status = InvoiceStatus(planned.invoice.status)
    return OurInvoice(
        due_fen=planned.due_fen,
        is_open=status == InvoiceStatus.OPEN,
        is_void=status in ASKS_FOR_NOTHING,
        has_credit_notes=bool(planned.notes),
    )


def read_theirs(planned: Planned) -> TheirInvoice:
    row = planned.row
    has_customer = planned.customer.stripe_id is not None
    return TheirInvoice(has_customer, StripeStatus(row.status), row.has_lines, row.remaining_fen)


async def _list_unsent_notes(work: Work, invoice_id: str) -> list[CreditNote]:
    notes = (await work.session.scalars(credit_notes.select_credit_notes(invoice_id=invoice_id))).all()
    sent = await list_sent(work, [note.id for note in notes])
    return sorted((note for note in notes if note.id not in sent), key=lambda note: note.id)


async def _write_customer(work: Work, customer: StripeCustomer) -> None:
    """Write the step that makes a customer known to Stripe, once for all of its invoices."""
    if await has_live_step(work, customer.customer_id, StepKind.CUSTOMER):
        return
    name = (await identity.get_customer(work, customer.customer_id)).name
    body = bodies.make_customer(customer.customer_id, name, customer.email)
    await write_step(work, NewStep(StepKind.CUSTOMER, customer.customer_id, customer.customer_id, body))


async def _write(work: Work, kind: StepKind, planned: Planned) -> None:
    if kind == StepKind.INVOICE:
        body, target = await _make_invoice(work, planned), ""
    elif kind == StepKind.LINES:
        body, target = await _make_lines(work, planned), planned.stripe_id
    else:
        body, target = _make_change(kind, planned), planned.stripe_id
    row = planned.row
    about = planned.notes[0].id if kind == StepKind.CREDIT_NOTE else planned.invoice.id
    new = NewStep(kind, about, row.customer_id, body, target=target, invoice_id=planned.invoice.id)
    if kind == StepKind.CREDIT_NOTE and row.asked_fen == row.credited_fen:
        await note_done(work, new)  # nothing is left there of what it takes back: that was never asked for
    elif row.problem is None:
        await write_step(work, new)


def _make_change(kind: StepKind, planned: Planned) -> Body:
    row = planned.row
    if kind == StepKind.FINALIZE:
        assert planned.customer.stripe_id is not None, "an invoice is of a customer"
        return bodies.make_expectation(planned.customer.stripe_id, row.asked_fen)
    if kind == StepKind.CREDIT_NOTE:
        note = planned.notes[0]
        return _take_off(planned, note.id, f"Credit note {note.number}", note.total_micros // MICROS_PER_FEN)
    if kind == StepKind.REDUCE:
        fen = row.remaining_fen - planned.due_fen
        return _take_off(planned, f"{row.invoice_id}:{row.credited_fen}:{fen}", "Paid by another way", fen)
    return {}


def _take_off(planned: Planned, our_id: str, title: str, fen: int) -> Body:
    """Take off what of a sum Stripe still asks for, and credit the rest outside; never more than it ever asked for."""
    row = planned.row
    most = min(fen, row.asked_fen - row.credited_fen)
    taken = Taken(our_id, title, most, outside_fen=max(0, most - row.remaining_fen))
    return bodies.make_credit_note(planned.stripe_id, taken)


async def _make_invoice(work: Work, planned: Planned) -> Body:
    invoice, customer = planned.invoice, planned.customer
    assert invoice.number is not None, "an open invoice has a number"
    assert invoice.due_on is not None, "an open invoice has a day on which it is due"
    assert customer.stripe_id is not None, "the customer was sent before"
    time_zone = (await contracts.get_contract(work, invoice.contract_id)).at(work.now).time_zone
    sent = SentInvoice(
        our_id=invoice.id,
        number=invoice.number,
        customer=customer.stripe_id,
        due_on=invoice.due_on,
        time_zone=time_zone,
        contract_number=invoice.contract_number,
        purchase_order=invoice.purchase_order,
    )
    lines = await _plan_lines(work, planned)
    url = f"{work.settings.worker_url}/v1/invoices/{invoice.id}?format=csv" if lines.is_summary else None
    return bodies.make_invoice(sent, url, now=work.now)


async def _make_lines(work: Work, planned: Planned) -> Body:
    """Make the lines; what was credited before is taken off in them, and never once more."""
    lines, row = await _plan_lines(work, planned), planned.row
    row.asked_fen, row.is_summary = lines.total_fen, lines.is_summary
    for note in planned.notes:
        await note_done(work, NewStep(StepKind.CREDIT_NOTE, note.id, row.customer_id, {}, invoice_id=row.invoice_id))
    return bodies.make_lines(lines)


async def _plan_lines(work: Work, planned: Planned) -> SentLines:
    lines = await billing.list_lines(work, planned.invoice.id)
    billed = [
        BilledLine(
            kind=line.kind,
            description=line.description,
            amount_micros=line.amount_micros,
            meter=line.meter,
            unit_price=None if line.unit_price is None else format(line.unit_price.normalize(), "f"),
            used_month=line.used_month,
            quantity=line.quantity,
        )
        for line in lines
        if line.kind != LineKind.BORNE
    ]
    sent = plan_lines(billed, planned.due_fen)
    if max(abs(fen) for fen in [*(line.amount_fen for line in sent.lines), sent.total_fen]) > MOST_FEN:
        planned.row.problem = f"Stripe takes at most {MOST_FEN} fen a line and in all; collect it by a bank transfer"
    return sent
