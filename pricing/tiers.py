"""Cumulative volume tiers: a month's usage of a contract gets cheaper as it grows, settled once, at the month's close.

Not what makes a plan: that is the volume contracted at signing (glossary). During the month usage is charged at the
plan's own price, which is that of the first tier; prices only fall from tier to tier, so that a settlement takes
something off and never raises what a limit, a cap or a budget has promised.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pricing.money import DEFAULT_CURRENCY, Money, round_to_fen
from pricing.rating import BASE_UNITS_PER_PRICED_UNIT, price_usage
from pricing.tier_terms import TierMode, Tiers
from pricing.usage import Unit


@dataclass(frozen=True)
class TierSchedule:
    """What a unit of a meter costs as a month's usage grows. Units: `base` in the currency per GPU-hour or token."""

    meter: Unit
    base: Decimal
    tiers: Tiers

    def rate(self, quantity: int) -> Fraction:
        """Price a month's usage, exactly, in units of the currency. Units: GPU-seconds or tokens."""
        lots = self._list_lots(quantity)
        if self.tiers.mode == TierMode.VOLUME:
            lots = [(quantity, lots[-1][1])]
        return sum((price_usage(self.meter, count, price) for count, price in lots), Fraction(0))

    def compute_share(self, quantity: int) -> Fraction:
        """Compute the share of the first tier's price that a month's usage costs: 1 as far as that tier reaches."""
        full = price_usage(self.meter, quantity, self.base)
        return self.rate(quantity) / full if full else Fraction(1)

    def _list_lots(self, quantity: int) -> list[tuple[int, Decimal]]:
        """List the tiers that a usage reaches: how much of it falls into each, and the price there."""
        units = BASE_UNITS_PER_PRICED_UNIT[self.meter]
        bounds = [(step.above * units, step.price) for step in self.tiers.steps if step.above * units < quantity]
        starts = [(0, self.base), *bounds]
        ends = [start for start, _price in bounds] + [quantity]
        return [(end - start, price) for (start, price), end in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class TieredUsage:
    """A month's usage of a meter that was charged at one price. Units: GPU-seconds or tokens; yuan per GPU-hour, token.

    `schedule` None: the card that priced it has no tiers for the meter.
    """

    meter: Unit
    quantity: int
    unit_price: Decimal
    schedule: TierSchedule | None

    @property
    def charged(self) -> Fraction:
        """Price it as it was charged, exactly, in units of the currency."""
        return price_usage(self.meter, self.quantity, self.unit_price)

    def compute_share(self, month: int) -> Fraction:
        """Compute the share of its price that it costs in a month that used so much in all."""
        return Fraction(1) if self.schedule is None else self.schedule.compute_share(month)


def settle_tiers(usages: Iterable[TieredUsage], currency: str = DEFAULT_CURRENCY) -> Money:
    """Compute what the tiers of one meter take off a month's charges: never above zero, rounded once, to the fen.

    All of the month's usage counts towards the tiers, whichever price it had. Each charge then costs the share of its
    price that the month's usage costs of the first tier's: so an hour of a GPU type with a multiplier falls as the
    others do, and the order of usage changes nothing. No more is taken off than what the charges come to on an invoice.
    """
    usages = list(usages)
    month = sum(usage.quantity for usage in usages)
    return -min(_take_off(usages, month, currency), _sum_rounded(usages, currency))


def return_settlement(
    taken_back: Iterable[TieredUsage], month_quantity: int, currency: str = DEFAULT_CURRENCY
) -> Money:
    """Compute what comes back of a settlement where charges of its month are taken back later: never below zero.

    A charge that is taken back has cost its share alone, so what the tiers took off it is not paid out; the month, that
    is closed, is not settled anew. Units: `month_quantity` is the usage that the month was settled with.
    """
    return _take_off(list(taken_back), month_quantity, currency)


def _take_off(usages: Sequence[TieredUsage], month: int, currency: str) -> Money:
    """Compute what tiers take off charges of a month that used so much in all, rounded once."""
    exact = sum(((1 - usage.compute_share(month)) * usage.charged for usage in usages), Fraction(0))
    return round_to_fen(exact, currency)


def _sum_rounded(usages: Sequence[TieredUsage], currency: str) -> Money:
    return sum((round_to_fen(usage.charged, currency) for usage in usages), Money.zero(currency))
