"""Rating: from metered usage to an exact charge. Rounding is not done here: it happens once, on the invoice line."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pricing.rate_card import UnitPrices
from pricing.usage import Unit, UnknownMeter

BASE_UNITS_PER_PRICED_UNIT = {Unit.GPU_SECONDS: 3600, Unit.TOKENS: 1}


class NegativeUsage(ValueError):
    """Usage is counted from zero up; a correction is a credit note, not negative usage."""

    def __init__(self, meter: str, quantity: int) -> None:
        self.meter, self.quantity = meter, quantity
        super().__init__(f"usage of {meter} cannot be negative, got {quantity}")


@dataclass(frozen=True)
class UsageTotal:
    """What one meter counted. Units: GPU-seconds or tokens."""

    meter: Unit
    quantity: int


@dataclass(frozen=True)
class Charge:
    """Priced usage of one meter.

    Units: quantity in GPU-seconds or tokens, unit_price per GPU-hour or per token, exact in units of the currency.
    """

    meter: Unit
    quantity: int
    unit_price: Decimal
    exact: Fraction
    rate_card_version: str


def price_usage(meter: Unit, quantity: int, unit_price: Decimal) -> Fraction:
    """Compute the exact price of a quantity, in units of the currency.

    Units: quantity in GPU-seconds or tokens; unit_price per GPU-hour or per token.
    Raises: UnknownMeter, NegativeUsage; TypeError for a price or a quantity that is not exact.
    """
    return Fraction(*divide_price(meter, quantity, unit_price))


def divide_price(meter: Unit, quantity: int, unit_price: Decimal) -> tuple[int, int]:
    """Compute the exact price of a quantity as dividend and divisor, not reduced: for who rounds it at once.

    Units and errors are those of `price_usage`.
    """
    if meter not in BASE_UNITS_PER_PRICED_UNIT:
        raise UnknownMeter(meter)
    if not isinstance(quantity, int) or not isinstance(unit_price, Decimal):
        raise TypeError(f"usage is a whole number and its price a Decimal, got {quantity!r} at {unit_price!r}")
    if quantity < 0:
        raise NegativeUsage(meter, quantity)
    numerator, denominator = unit_price.as_integer_ratio()
    return quantity * numerator, denominator * BASE_UNITS_PER_PRICED_UNIT[meter]


def rate_usage(usage: UsageTotal, prices: UnitPrices) -> Charge:
    """Price one meter's usage.

    Units: usage in the meter's base unit (GPU-seconds, tokens); the charge is exact, not rounded to the fen.
    Raises: NegativeUsage.
    Source: the rate card of the prices; its version is on the charge.
    """
    unit_price = prices.of(usage.meter)
    exact = price_usage(usage.meter, usage.quantity, unit_price)
    return Charge(usage.meter, usage.quantity, unit_price, exact, prices.rate_card_version)
