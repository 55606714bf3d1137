"""A line of a statement, as text, and the receipt that it is; or what is wrong with it. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from broker.errors import FieldError
from broker.payments.bank.values import NOTHING, check_currency, clean, read_amount, read_day
from broker.payments.model import Payer, PaymentSource, Receipt
from pricing.money import Money

Value = TypeVar("Value")
LONGEST = 200
# A thousand of them still fit into an account.
LARGEST = Money.from_decimal(10**9)
# How a spreadsheet writes a number of many digits; two payments have the same one then.
ROUNDED = re.compile(r"\d(\.\d+)?E\+?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class StatementLine:
    """A line as the statement has it, all of it text. `number` is its place in the file, or in the request."""

    number: int
    serial: str
    value_on: str
    came: str
    went: str = ""
    currency: str = ""
    account: str = ""
    payer_name: str = ""
    payer_account: str = ""
    payer_bank: str = ""
    remark: str = ""


@dataclass(frozen=True)
class ReadLine:
    """What a line is: a receipt, faults by its fields, or neither: money that went out."""

    line: StatementLine
    receipt: Receipt | None = None
    faults: tuple[FieldError, ...] = ()


def read_line(line: StatementLine, own_account: str) -> ReadLine:
    """Read one line; `own_account` is where the money came in where the line does not say it."""
    faults: list[FieldError] = []
    amount = _read(faults, "amount", lambda: _read_net(line))
    day = _read(faults, "value_on", lambda: read_day(line.value_on))
    _read(faults, "currency", lambda: check_currency(line.currency))
    faults += _find_text_faults(line)
    if faults or amount is None or day is None:
        return ReadLine(line, faults=tuple(faults))
    if amount.micros < 0:
        return ReadLine(line)
    payer = Payer(clean(line.payer_name), join_digits(line.payer_account), clean(line.payer_bank))
    return ReadLine(
        line,
        Receipt(
            source=PaymentSource.BANK_TRANSFER,
            account=join_digits(line.account or own_account),
            serial=clean(line.serial),
            amount=amount,
            value_on=day,
            payer=payer,
            remark=clean(line.remark),
        ),
    )


def _read(faults: list[FieldError], name: str, read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except ValueError as error:
        faults.append(FieldError(name, str(error)))
        return None


def _read_net(line: StatementLine) -> Money:
    """Read what came in, below zero where it went out. Raises: ValueError."""
    came, went = read_amount(line.came), read_amount(line.went)
    if came.micros < 0:
        raise ValueError("takes an earlier line back (冲正): unclaim that payment, return it, and tell that as sent")
    if went.micros < 0:
        raise ValueError("takes back what went out (冲正): was it a refund, tell that it failed; nothing else is kept")
    if came.micros and went.micros:
        raise ValueError("came in and went out on one line")
    if not came.micros and not went.micros:
        raise ValueError("is missing, or zero")
    if abs((came - went).micros) > LARGEST.micros:
        raise ValueError("is larger than any transfer")
    return came - went


def split_signed(amount: str) -> tuple[str, str]:
    """Split an amount whose sign says the way into what came in and what went out."""
    plain = clean(amount)
    is_out = plain.startswith("-") and plain not in NOTHING
    return ("", plain[1:]) if is_out else (amount, "")


def _find_text_faults(line: StatementLine) -> Iterator[FieldError]:
    if not clean(line.serial):
        yield FieldError("serial", "is missing: by the bank's serial number a line is kept once")
    for name in ("serial", "payer_account"):
        if ROUNDED.fullmatch(clean(getattr(line, name))):
            yield FieldError(name, "was rounded by a spreadsheet, its last digits are lost; import the bank's own file")
    for name in ("serial", "account", "payer_name", "payer_account", "payer_bank", "remark"):
        text = getattr(line, name)
        if len(text) > LONGEST:
            yield FieldError(name, f"has {len(text)} characters; at most {LONGEST} are kept")
        elif any(unicodedata.category(each) == "Cc" and each not in "\t\r\n" for each in text):
            yield FieldError(name, "has a control character; remove it")


def join_digits(account: str) -> str:
    """Write the number of an account without the spaces and dashes that people read it by."""
    return clean(account).replace(" ", "").replace("-", "")
