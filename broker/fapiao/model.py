"""What a fapiao says, and what may be asked for: amounts, tax, title, states. Pure."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from typing import Any, Self

import cn2an
from stdnum.cn import uscc

from broker import errors
from pricing.money import MICROS_PER_FEN, Money
from pricing.tax import Tax, TaxMode

NUMBER, CREDIT_CODE = re.compile(r"[0-9]{20}"), re.compile(r"[0-9A-Z]{18}")
# Source: the tax bureau's data sheet of electronic fapiao: unit prices have at most 13 decimal places.
PRICE_STEP = Decimal(1).scaleb(-13)
WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


class FapiaoKind(StrEnum):
    """A normal one (普票) or one for deduction (专票), which companies alone get."""

    NORMAL = "normal"
    SPECIAL = "special"


class FapiaoStatus(StrEnum):
    REQUESTED = "requested"
    ISSUED = "issued"
    CANCELLED = "cancelled"


class RedReason(StrEnum):
    """Why a fapiao is taken back, by the tax bureau's codes: 开票有误, 销货退回, 服务中止, 销售折让."""

    WRONG = "01"
    RETURNED = "02"
    SERVICE_ENDED = "03"
    DISCOUNT = "04"


@dataclass(frozen=True)
class Title:
    """To whom a fapiao is made out (抬头). A company has a tax number; a special one needs all of it."""

    name: str
    tax_number: str = ""
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def find_title_faults(title: Title, kind: FapiaoKind) -> Iterator[errors.FieldError]:
    """Find what is wrong with a title: a tax number whose check digit does not fit, or what a special one lacks."""
    number = title.tax_number
    if number and not (CREDIT_CODE.fullmatch(number) and uscc.is_valid(number)):
        yield errors.FieldError("title.tax_number", "is no unified social credit code: 18 digits and capitals that fit")
    if kind == FapiaoKind.SPECIAL:
        for name, value in title.to_json().items():
            if not value.strip():
                yield errors.FieldError(f"title.{name}", "is needed of a special fapiao (专票)")


@dataclass(frozen=True)
class IssuingTerms:
    """What the issuing entity's fapiao say of each line; None or empty: not set, and nothing can be requested."""

    item: str
    tax_code: str
    tax_rate: Decimal | None
    unit: str


@dataclass(frozen=True)
class FapiaoLine:
    """项目名称, 税收分类编码, 单位, quantity, unit price, net amount, rate, tax: amount and tax lead, price follows."""

    item: str
    tax_code: str
    unit: str
    quantity: Decimal
    unit_price: Decimal
    net: Money
    tax_rate: Decimal
    tax: Money

    def to_json(self) -> dict[str, str]:
        return {
            "item": self.item,
            "tax_code": self.tax_code,
            "unit": self.unit,
            "quantity": format(self.quantity, "f"),
            "unit_price": format(self.unit_price, "f"),
            "net": self.net.format_amount(),
            "tax_rate": format(self.tax_rate.normalize(), "f"),
            "tax": self.tax.format_amount(),
        }

    @classmethod
    def read(cls, kept: dict[str, str]) -> Self:
        """Read a line as `to_json` wrote it."""
        return cls(
            item=kept["item"],
            tax_code=kept["tax_code"],
            unit=kept["unit"],
            quantity=Decimal(kept["quantity"]),
            unit_price=Decimal(kept["unit_price"]),
            net=Money.from_decimal(kept["net"]),
            tax_rate=Decimal(kept["tax_rate"]),
            tax=Money.from_decimal(kept["tax"]),
        )


def make_line(amount: Money, terms: IssuingTerms, quantity: Decimal = Decimal(1)) -> FapiaoLine:
    """Make the line of an amount with its tax in it. The unit price is what is left by the quantity, to 13 places.

    Raises: InvalidRequest, where the issuing entity has not set its terms.
    """
    if terms.tax_rate is None or not terms.item or not terms.tax_code:
        raise errors.InvalidRequest(
            "The issuing entity has not set its fapiao: BROKER_FAPIAO_ITEM, BROKER_FAPIAO_TAX_CODE and "
            "BROKER_FAPIAO_TAX_RATE are needed; tax is never guessed."
        )
    tax = Tax(TaxMode.INCLUDED, terms.tax_rate).compute(amount)
    net = amount - tax
    price = _price(net, quantity)
    return FapiaoLine(terms.item, terms.tax_code, terms.unit, quantity, price, net, terms.tax_rate, tax)


def make_red_line(line: FapiaoLine, amount: Money, left: Money) -> FapiaoLine:
    """Make the line of a red one, below zero, that takes back an amount of what is left of a fapiao's line.

    Its tax is what that of the rest is less: so that red ones that take back all take back all of the tax, to the fen.
    Quantity: its share of the line's, to 13 places.
    """
    rule = Tax(TaxMode.INCLUDED, line.tax_rate)
    tax = rule.compute(left) - rule.compute(left - amount)
    net = amount - tax
    whole = (line.net + line.tax).to_decimal()
    shared = WIDE.quantize(line.quantity * amount.to_decimal() / whole, PRICE_STEP)
    quantity = line.quantity if shared == line.quantity else max(PRICE_STEP, shared.normalize(WIDE))
    return replace(line, quantity=-quantity, unit_price=_price(net, quantity), net=-net, tax=-tax)


def _price(net: Money, quantity: Decimal) -> Decimal:
    return WIDE.quantize(WIDE.divide(net.to_decimal(), quantity), PRICE_STEP)


def write_capitals(amount: Money) -> str:
    """Write an amount in capitals (大写)."""
    return str(cn2an.an2cn(amount.format_amount(), "rmb"))


@dataclass(frozen=True)
class Invoiceable:
    """What a customer has consumed, and what fapiao were requested or issued of it, less red ones."""

    consumed: Money
    invoiced: Money

    @property
    def amount(self) -> Money:
        """What can still be asked for (可开票金额)."""
        return max(Money.zero(), self.consumed - self.invoiced)

    @property
    def debt(self) -> Money:
        """What fapiao say beyond what was consumed (欠票)."""
        return max(Money.zero(), self.invoiced - self.consumed)


def check_amount(asked: Money | None, there: Invoiceable) -> Money:
    """Check what is asked for; by default all that can be. Raises: InvalidRequest, naming the amount."""
    if there.debt.micros:
        told = f"nothing can be asked for: fapiao of {there.debt} more than was consumed need their red ones first"
        raise errors.invalid_field("amount", told)
    amount = there.amount if asked is None else asked
    if asked is None and not amount.micros:
        raise errors.invalid_field("amount", f"nothing can be asked for: of {there.consumed} consumed all is invoiced")
    _check_whole(amount)
    if amount > there.amount:
        raise errors.invalid_field("amount", f"is more than can be invoiced: {there.amount}")
    return amount


def check_red(asked: Money | None, left: Money) -> Money:
    """Check how much of a fapiao a red one takes back; by default all. Raises: InvalidRequest."""
    amount = left if asked is None else asked
    _check_whole(amount)
    if amount > left:
        raise errors.invalid_field("amount", f"is more than is left of the fapiao: {left}")
    return amount


def _check_whole(amount: Money) -> None:
    if amount.micros <= 0:
        raise errors.invalid_field("amount", f"must be above zero, and is {amount}")
    if amount.micros % MICROS_PER_FEN:
        raise errors.invalid_field("amount", "must be whole fen: two decimal places at most")
