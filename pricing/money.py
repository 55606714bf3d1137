"""Amounts of money: whole micro-units (10⁻⁶) of one currency, exact, never a float."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Self

MICROS_PER_UNIT = 1_000_000
MICROS_PER_FEN = 10_000
FEN_PER_UNIT = 100
LARGEST_EXPONENT = 18
DEFAULT_CURRENCY = "CNY"
# An exact number as dividend and divisor, not reduced: where it is rounded or compared next, a Fraction costs more.
Quotient = tuple[int, int]


class AmountInvalid(ValueError):
    """The text is not a finite decimal amount, is out of range, or has more than 6 decimal places."""

    def __init__(self, value: object, reason: str) -> None:
        self.value, self.reason = value, reason
        super().__init__(f"{value!r} is not an amount: {reason}")


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were added, subtracted or compared."""

    def __init__(self, left: str, right: str) -> None:
        self.left, self.right = left, right
        super().__init__(f"amounts of {left} and {right} do not mix")


@dataclass(frozen=True, order=False, init=False)
class Money:
    """An amount of one currency.

    Units: micros are millionths of the currency's unit (micro-yuan for CNY).
    """

    micros: int
    currency: str = DEFAULT_CURRENCY

    def __init__(self, micros: int, currency: str = DEFAULT_CURRENCY) -> None:
        """Make an amount. Raises: TypeError for micros that are no whole number.

        Written out, as a quote makes hundreds of amounts: what a frozen dataclass has for it takes twice as long.
        """
        if not isinstance(micros, int):
            raise TypeError(f"micros is a whole number, not {type(micros).__name__}")
        fields = self.__dict__
        fields["micros"], fields["currency"] = micros, currency

    @classmethod
    def zero(cls, currency: str = DEFAULT_CURRENCY) -> Self:
        return cls(0, currency)

    @classmethod
    def from_decimal(cls, value: Decimal | str | int, currency: str = DEFAULT_CURRENCY) -> Self:
        """Read the amount that a decimal writes, exactly.

        Raises: TypeError for a float, AmountInvalid for what is not finite, out of range or finer than a micro.
        """
        dividend, divisor = _read_decimal(value).as_integer_ratio()
        micros, rest = divmod(dividend * MICROS_PER_UNIT, divisor)
        if rest:
            raise AmountInvalid(value, "more than 6 decimal places")
        return cls(micros, currency)

    @classmethod
    def from_exact(cls, exact: Fraction, currency: str = DEFAULT_CURRENCY) -> Self:
        """Round an exact amount in units of the currency half-even to the micro."""
        return cls(_scale(exact, MICROS_PER_UNIT), currency)

    def to_decimal(self) -> Decimal:
        return Decimal(self.format_amount())

    def format_amount(self) -> str:
        """Write plain digits: two decimal places, more (up to 6) only where the amount has them."""
        whole, rest = divmod(abs(self.micros), MICROS_PER_UNIT)
        places = f"{rest:06d}".rstrip("0").ljust(2, "0")
        return f"{'-' if self.micros < 0 else ''}{whole}.{places}"

    def __str__(self) -> str:
        return f"{self.format_amount()} {self.currency}"

    def __add__(self, other: "Money") -> Self:
        return type(self)(self.micros + self._micros_of(other), self.currency)

    def __sub__(self, other: "Money") -> Self:
        return type(self)(self.micros - self._micros_of(other), self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.micros, self.currency)

    def __mul__(self, count: int) -> Self:
        if not isinstance(count, int):
            return NotImplemented
        return type(self)(self.micros * count, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        return self.micros < self._micros_of(other)

    def __le__(self, other: "Money") -> bool:
        return self.micros <= self._micros_of(other)

    def __gt__(self, other: "Money") -> bool:
        return self.micros > self._micros_of(other)

    def __ge__(self, other: "Money") -> bool:
        return self.micros >= self._micros_of(other)

    def _micros_of(self, other: "Money") -> int:
        if not isinstance(other, Money):
            raise TypeError(f"an amount mixes with amounts only, not with {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatch(self.currency, other.currency)
        return other.micros


def round_to_fen(exact: Fraction, currency: str = DEFAULT_CURRENCY) -> Money:
    """Round an exact amount in units of the currency to its hundredth, once, half-even.

    Source: DESIGN, decision 3: a charge is computed exactly and rounded once, on the invoice line.
    """
    return Money(_scale(exact, FEN_PER_UNIT) * MICROS_PER_FEN, currency)


def round_quotient_to_fen(dividend: int, divisor: int, currency: str = DEFAULT_CURRENCY) -> Money:
    """Round an exact quotient as `round_to_fen` does, without reducing it first. The divisor is above zero.

    Written out, as a quote rounds a hundred amounts: `divide_half_even` and the amount's constructor, which would check
    that whole numbers are such, take as long as all the rest.
    """
    fen, rest = divmod(dividend * FEN_PER_UNIT, divisor)
    if 2 * rest + (fen & 1) > divisor:
        fen += 1
    rounded = object.__new__(Money)
    fields = rounded.__dict__
    fields["micros"], fields["currency"] = fen * MICROS_PER_FEN, currency
    return rounded


def add_quotients(quotients: Iterable[Quotient]) -> Quotient:
    """Add exact quotients up; nothing is nought. Divisors are above zero."""
    dividend, divisor = 0, 1
    for each, of in quotients:
        if divisor % of:
            dividend, divisor = dividend * of + each * divisor, divisor * of
        else:
            dividend += each * (divisor // of)
    return dividend, divisor


def divide_half_even(dividend: int, divisor: int) -> int:
    """Divide and round to the nearest whole number, of two as near to the even one. The divisor is above zero."""
    quotient = dividend // divisor
    is_lifted = 2 * (dividend % divisor) + (quotient & 1) > divisor
    return quotient + 1 if is_lifted else quotient


def _scale(exact: Fraction, parts: int) -> int:
    """Count parts of the unit, rounded half-even. In whole numbers: `Fraction` would reduce what is rounded next."""
    if not isinstance(exact, Fraction | int):
        raise TypeError(f"an exact amount is a Fraction, not {type(exact).__name__}")
    return divide_half_even(exact.numerator * parts, exact.denominator)


def _read_decimal(value: Decimal | str | int) -> Decimal:
    if not isinstance(value, Decimal | str | int):
        raise TypeError(f"an amount is a Decimal, str or int, not {type(value).__name__}: floats are not exact")
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise AmountInvalid(value, "not a decimal number") from error
    if not amount.is_finite():
        raise AmountInvalid(value, "not finite")
    if amount.adjusted() > LARGEST_EXPONENT or (amount and amount.adjusted() < -LARGEST_EXPONENT):
        raise AmountInvalid(value, "out of range")
    return amount
