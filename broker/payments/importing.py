"""Importing: the lines of a statement become payments, each with its own answer; what is wrong with one sinks no other.

A statement of which nothing can be kept is refused as a whole, with the fields of each line.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from broker import errors
from broker.errors import FieldError
from broker.payments.bank.lines import ReadLine, StatementLine, join_digits, read_line
from broker.payments.model import AllocationKind, Outcome
from broker.payments.receiving import Received, record_receipts
from broker.work import Work
from pricing.money import Money

NOT_KEPT = frozenset({Outcome.REJECTED, Outcome.OUTGOING, Outcome.DUPLICATE})


@dataclass(frozen=True)
class ImportedLine:
    """What became of one line."""

    number: int
    serial: str
    outcome: Outcome
    reason: str = ""
    payment_id: str | None = None
    invoice_ids: tuple[str, ...] = ()
    faults: tuple[FieldError, ...] = ()


@dataclass(frozen=True)
class Imported:
    """What became of a statement: its lines in their order, and what those that are kept now add up to."""

    lines: Sequence[ImportedLine]
    received: Money
    layout: str | None = None

    @property
    def counts(self) -> dict[Outcome, int]:
        return dict(Counter(line.outcome for line in self.lines))


async def import_lines(
    work: Work, lines: Sequence[StatementLine], *, account: str | None = None, layout: str | None = None
) -> Imported:
    """Import the lines of a statement. Raises: InvalidRequest, where none of them can be kept."""
    own_account = join_digits(account or work.settings.issuer_bank_account)
    read = [read_line(line, own_account) for line in lines]
    receipts = [each.receipt for each in read if each.receipt is not None]
    received = iter(await record_receipts(work, receipts))
    answers = [_describe(each, None if each.receipt is None else next(received)) for each in read]
    if all(answer.outcome == Outcome.REJECTED for answer in answers):
        raise _refuse_all(answers)
    kept = [
        each.receipt.amount
        for each, answer in zip(read, answers, strict=True)
        if each.receipt is not None and answer.outcome not in NOT_KEPT
    ]
    return Imported(answers, sum(kept, Money.zero()), layout)


def _refuse_all(answers: Sequence[ImportedLine]) -> errors.InvalidRequest:
    faults = [
        FieldError(f"lines.{answer.number}.{fault.field}", fault.message)
        for answer in answers
        for fault in answer.faults
    ]
    return errors.InvalidRequest(f"{faults[0].field}: {faults[0].message}", errors=faults)


def _describe(read: ReadLine, received: Received | None) -> ImportedLine:
    number, serial = read.line.number, read.line.serial
    if read.faults:
        reason = f"{read.faults[0].field}: {read.faults[0].message}"
        return ImportedLine(number, serial, Outcome.REJECTED, reason, faults=read.faults)
    if received is None:
        return ImportedLine(number, serial, Outcome.OUTGOING, "money that went out; a refund is confirmed as one")
    if received.field is not None:
        fault = FieldError(received.field, received.reason)
        return ImportedLine(number, serial, received.outcome, f"{fault.field}: {fault.message}", faults=(fault,))
    payment_id = None if received.payment is None else received.payment.id
    return ImportedLine(number, serial, received.outcome, received.reason, payment_id, _list_invoices(received))


def _list_invoices(received: Received) -> tuple[str, ...]:
    if received.match is None:
        return ()
    paid = (share.invoice_id for share in received.match.shares if share.kind == AllocationKind.INVOICE)
    return (*(each for each in paid if each is not None), *received.match.candidates)
