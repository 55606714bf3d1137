"""Fapiao: requested, issued by hand with number and file, cancelled, taken back by red ones."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Select, func, select

from broker import errors
from broker.billing.consumed import read_consumed
from broker.clock import local_day
from broker.fapiao.model import (
    NUMBER,
    FapiaoKind,
    FapiaoLine,
    FapiaoStatus,
    Invoiceable,
    IssuingTerms,
    RedReason,
    Title,
    check_amount,
    check_red,
    find_title_faults,
    make_line,
    make_red_line,
    write_capitals,
)
from broker.fapiao.tables import Fapiao, FapiaoFile
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.ledger.service import FapiaoStep
from broker.persistence.database import narrow
from broker.work import Work
from pricing.money import Money

# Two customers' numbers are checked one after the other: a number is used once by all.
NUMBER_TURN = 7_203_119
OPEN = (FapiaoStatus.REQUESTED.value, FapiaoStatus.ISSUED.value)


class FileFormat(StrEnum):
    PDF = "pdf"
    OFD = "ofd"
    XML = "xml"


# How each begins: what is uploaded as one must be one. OFD is a zip.
STARTS = {FileFormat.PDF: b"%PDF-", FileFormat.OFD: b"PK\x03\x04", FileFormat.XML: b"<"}
MOST_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class FapiaoRequest:
    """What a customer asks for: an amount with its tax in it, all that can be where none is told."""

    customer_id: str
    kind: FapiaoKind
    title: Title
    amount: Money | None = None
    quantity: Decimal = Decimal(1)


@dataclass(frozen=True)
class RedFapiao:
    """What is taken back of an issued fapiao; None: all that is left of it."""

    number: str
    issued_on: date
    reason: RedReason
    amount: Money | None = None


async def read_invoiceable(work: Work, customer_id: str) -> Invoiceable:
    """Read what a customer has consumed, and what fapiao there are of it."""
    return Invoiceable(await read_consumed(work, customer_id), await ledger.read_fapiao_drawn(work, customer_id))


async def request_fapiao(work: Work, new: FapiaoRequest) -> Fapiao:
    """Request a fapiao; what it asks for is taken off what can be asked for. Raises: NotFound, InvalidRequest."""
    await identity.lock_customer(work, new.customer_id)
    faults = list(find_title_faults(new.title, new.kind))
    if faults:
        raise errors.InvalidRequest(f"{faults[0].field}: {faults[0].message}", errors=faults)
    amount = check_amount(new.amount, await read_invoiceable(work, new.customer_id))
    line = make_line(amount, _read_terms(work), new.quantity)
    row = Fapiao(
        id=work.new_id("fap"),
        customer_id=new.customer_id,
        status=FapiaoStatus.REQUESTED.value,
        kind=new.kind.value,
        title=new.title.to_json(),
        amount_micros=amount.micros,
        tax_rate=line.tax_rate,
        tax_micros=line.tax.micros,
        lines=[line.to_json()],
        capitals=write_capitals(amount),
        author=work.actor.id,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    await _book(work, row, FapiaoStep.REQUESTED)
    return row


async def _book(work: Work, row: Fapiao, step: FapiaoStep) -> None:
    """Book what became of a fapiao; a red one by what it takes back."""
    await ledger.book_fapiao(work, row.customer_id, step, max(row.amount, -row.amount), reference=row.id)


def _read_terms(work: Work) -> IssuingTerms:
    settings = work.settings
    return IssuingTerms(settings.fapiao_item, settings.fapiao_tax_code, settings.fapiao_tax_rate, settings.fapiao_unit)


async def issue_fapiao(work: Work, fapiao_id: str, number: str, issued_on: date) -> Fapiao:
    """Note under which number a requested fapiao was issued. Raises: NotFound, IllegalTransition, InvalidRequest."""
    row = await _lock(work, fapiao_id)
    _require(row, FapiaoStatus.REQUESTED)
    await _check_number(work, number, issued_on)
    row.status, row.number, row.issued_on, row.ended_at = FapiaoStatus.ISSUED.value, number, issued_on, work.now
    await _book(work, row, FapiaoStep.ISSUED)
    return row


async def cancel_fapiao(work: Work, fapiao_id: str) -> Fapiao:
    """Cancel a request that was not issued; cancelling twice changes nothing. Raises: NotFound, IllegalTransition."""
    row = await _lock(work, fapiao_id)
    if row.status != FapiaoStatus.CANCELLED:
        _require(row, FapiaoStatus.REQUESTED)
        row.status, row.ended_at = FapiaoStatus.CANCELLED.value, work.now
        await _book(work, row, FapiaoStep.CANCELLED)
    return row


async def take_back(work: Work, fapiao_id: str, red: RedFapiao) -> Fapiao:
    """Note a red fapiao, which takes back a part of an issued one or all. Returns the red one.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    row = await _lock(work, fapiao_id)
    _require(row, FapiaoStatus.ISSUED)
    if row.red_of_id is not None:
        raise errors.IllegalTransition(f"Fapiao {row.number} is a red one; name the one that it takes back of.")
    await _check_number(work, red.number, red.issued_on)
    if row.issued_on is not None and red.issued_on < row.issued_on:
        raise errors.invalid_field("issued_on", f"is before {row.issued_on}, the day of the fapiao that it takes back")
    left = await read_left(work, row)
    amount = check_red(red.amount, left)
    line = make_red_line(FapiaoLine.read(row.lines[0]), amount, left)
    made = Fapiao(
        id=work.new_id("fap"),
        customer_id=row.customer_id,
        status=FapiaoStatus.ISSUED.value,
        kind=row.kind,
        title=row.title,
        amount_micros=-amount.micros,
        tax_rate=row.tax_rate,
        tax_micros=line.tax.micros,
        lines=[line.to_json()],
        capitals=write_capitals(-amount),
        number=red.number,
        issued_on=red.issued_on,
        red_of_id=row.id,
        red_reason=red.reason.value,
        author=work.actor.id,
        created_at=work.now,
        ended_at=work.now,
    )
    work.session.add(made)
    await work.session.flush()
    await _book(work, made, FapiaoStep.TAKEN_BACK)
    return made


async def read_left(work: Work, row: Fapiao) -> Money:
    """Read what red ones have left of a fapiao."""
    query = select(func.coalesce(func.sum(Fapiao.amount_micros), 0)).where(Fapiao.red_of_id == row.id)
    return row.amount + Money(int(await work.session.scalar(query) or 0))


async def _check_number(work: Work, number: str, issued_on: date) -> None:
    """Check a number that finance tells: 20 digits, used once; and a day that has come."""
    if NUMBER.fullmatch(number) is None:
        raise errors.invalid_field("number", "must have 20 digits")
    await work.take_turn(NUMBER_TURN)
    if await work.session.scalar(select(Fapiao.id).where(Fapiao.number == number)) is not None:
        raise errors.invalid_field("number", "is that of another fapiao already")
    if issued_on > local_day(work.now, work.settings.time_zone):
        raise errors.invalid_field("issued_on", "is a day to come")


async def _lock(work: Work, fapiao_id: str) -> Fapiao:
    """Lock the customer, and get its fapiao. Raises: NotFound."""
    await identity.lock_customer(work, (await get_fapiao(work, fapiao_id)).customer_id)
    return await work.session.get_one(Fapiao, fapiao_id, populate_existing=True)


def _require(row: Fapiao, status: FapiaoStatus) -> None:
    if row.status != status:
        raise errors.IllegalTransition(
            f"Fapiao {row.number or row.id} is {row.status}; this needs it to be {status.value}.",
            status_before=row.status,
        )


async def add_file(work: Work, fapiao_id: str, as_format: FileFormat, content: bytes) -> Fapiao:
    """Keep a file of an issued fapiao, one of each format.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    row = await _lock(work, fapiao_id)
    _require(row, FapiaoStatus.ISSUED)
    if len(content) > MOST_BYTES:
        raise errors.invalid_field("file", f"has more than {MOST_BYTES} bytes")
    if not content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(STARTS[as_format]):
        raise errors.invalid_field("file", f"is no {as_format.value}")
    if await find_file(work, fapiao_id, as_format) is not None:
        raise errors.invalid_field("file", f"of format {as_format.value} is there already, and never changes")
    own = {"customer_id": row.customer_id, "fapiao_id": row.id, "created_at": work.now}
    work.session.add(FapiaoFile(format=as_format.value, content=content, **own))
    await work.session.flush()
    return row


async def find_file(work: Work, fapiao_id: str, as_format: FileFormat) -> FapiaoFile | None:
    """Find a file of a fapiao; None where there is none of that format."""
    query = select(FapiaoFile).where(FapiaoFile.fapiao_id == fapiao_id, FapiaoFile.format == as_format.value)
    return (await work.session.scalars(query)).one_or_none()


async def get_file(work: Work, fapiao_id: str, as_format: FileFormat) -> tuple[Fapiao, FapiaoFile]:
    """Get a file with its fapiao. Raises: NotFound."""
    row, file = await get_fapiao(work, fapiao_id), await find_file(work, fapiao_id, as_format)
    if file is None:
        raise errors.NotFound(f"{as_format.value} of fapiao", fapiao_id)
    return row, file


async def get_fapiao(work: Work, fapiao_id: str) -> Fapiao:
    """Get a fapiao. Raises: NotFound."""
    row = await work.session.get(Fapiao, fapiao_id)
    if row is None:
        raise errors.NotFound("fapiao", fapiao_id)
    return row


def select_fapiao(**wanted: str | None) -> Select[Fapiao]:
    """Select the fapiao that the actor sees, all or those with these values in their columns."""
    return narrow(select(Fapiao), **wanted)
