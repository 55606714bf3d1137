"""What months of usage cost on a plan: the hours and tokens that were used, and those committed to and not used."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pricing.money import Money, round_to_fen
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.rating import price_usage
from pricing.tiers import TieredUsage, TierSchedule, settle_tiers
from pricing.usage import METERS, Unit

# A commitment is for a year, and so is the term of hours that are bought ahead.
TERM_MONTHS = 12
SECONDS_PER_HOUR_AND_MONTH = 3600 // TERM_MONTHS


@dataclass(frozen=True)
class MonthUsage:
    """What a customer used in a month. Units: GPU-seconds by GPU type, None where it has no name; tokens."""

    gpu_seconds: Mapping[str | None, int]
    tokens: int

    @property
    def all_gpu_seconds(self) -> int:
        return sum(self.gpu_seconds.values())


@dataclass(frozen=True)
class PlanOption:
    """A plan that a contract could be signed on, with what it commits to. Units: whole GPU-hours in twelve months."""

    plan: PlanName
    committed_gpu_hours: int


@dataclass(frozen=True)
class PlanCost:
    """What months cost on an option, each part rounded to the fen as invoices are.

    `unmet` is what was committed to and not used; `tiers` what volume tiers take off, at most zero.
    """

    gpu_hours: Money
    tokens: Money
    unmet: Money
    tiers: Money

    @property
    def total(self) -> Money:
        return self.gpu_hours + self.tokens + self.unmet + self.tiers

    def __add__(self, other: "PlanCost") -> "PlanCost":
        return PlanCost(
            self.gpu_hours + other.gpu_hours,
            self.tokens + other.tokens,
            self.unmet + other.unmet,
            self.tiers + other.tiers,
        )


def compute_cost(card: RateCard, option: PlanOption, months: Sequence[MonthUsage]) -> PlanCost:
    """Compute what months would have cost on an option, signed as the first of them began and renewed each year.

    Of a year that has not ended the commitment counts in proportion. Hours bought ahead pay for GPU types without a
    multiplier, in the order of use, and expire with their year; what they do not cover is charged as on demand, since
    the plan itself sells no more. Elsewhere every hour is charged at the plan's price and counts for the commitment;
    what is missing at the year's end is charged at the plan's price.
    Units: the card's currency. Source: MISSION.md, price table; decisions 0045 and 0068.
    """
    cost = _make_nothing(card)
    for start in range(0, len(months), TERM_MONTHS):
        cost += _compute_year(card, option, months[start : start + TERM_MONTHS])
    return cost


def _make_nothing(card: RateCard) -> PlanCost:
    zero = Money.zero(card.currency)
    return PlanCost(zero, zero, zero, zero)


def _compute_year(card: RateCard, option: PlanOption, months: Sequence[MonthUsage]) -> PlanCost:
    committed = option.committed_gpu_hours * SECONDS_PER_HOUR_AND_MONTH * len(months)
    if card.terms(option.plan).advance:
        return _compute_ahead(card, option.plan, committed, months)
    cost = sum((_compute_month(card, option.plan, option.plan, month) for month in months), _make_nothing(card))
    unused = max(0, committed - sum(month.all_gpu_seconds for month in months))
    return cost + _charge_unmet(card, _price_hours(card, option.plan, unused))


def _compute_ahead(card: RateCard, plan: PlanName, committed: int, months: Sequence[MonthUsage]) -> PlanCost:
    """Compute a year whose hours are paid for before it begins."""
    cost, left = _make_nothing(card), committed
    for month in months:
        beyond, left = _cover(card, month, left)
        cost += _compute_month(card, plan, PlanName.ON_DEMAND, beyond)
    unmet = _price_hours(card, plan, left)
    zero = Money.zero(card.currency)
    return cost + PlanCost(_price_hours(card, plan, committed) - unmet, zero, unmet, zero)


def _cover(card: RateCard, month: MonthUsage, left: int) -> tuple[MonthUsage, int]:
    """Take out of a month what hours bought ahead pay for; returns the rest, and what is left of them."""
    rest = dict(month.gpu_seconds)
    for gpu_type, seconds in month.gpu_seconds.items():
        covered = min(left, seconds) if card.get_multiplier(gpu_type) == 1 else 0
        rest[gpu_type] -= covered
        left -= covered
    return MonthUsage(rest, month.tokens), left


def _compute_month(card: RateCard, plan: PlanName, of_hours: PlanName, month: MonthUsage) -> PlanCost:
    """Compute what a month is charged: its hours at one plan's prices, its tokens at another's."""
    used = {
        Unit.GPU_SECONDS: list(_rate_hours(card, of_hours, month)),
        Unit.TOKENS: [_make_usage(card, plan, Unit.TOKENS, month.tokens, card.terms(plan).per_token)],
    }
    tiers = sum((settle_tiers(used[meter], card.currency) for meter in METERS), Money.zero(card.currency))
    hours, tokens = (_add_up(card, used[meter]) for meter in (Unit.GPU_SECONDS, Unit.TOKENS))
    return PlanCost(hours, tokens, Money.zero(card.currency), tiers)


def _rate_hours(card: RateCard, plan: PlanName, month: MonthUsage) -> Iterator[TieredUsage]:
    """Rate a month's hours: those of types that cost the same together, as an invoice does."""
    by_price: Counter[Decimal] = Counter()
    for gpu_type, seconds in month.gpu_seconds.items():
        by_price[card.prices(plan, gpu_type).per_gpu_hour] += seconds
    for price in sorted(by_price):
        yield _make_usage(card, plan, Unit.GPU_SECONDS, by_price[price], price)


def _make_usage(card: RateCard, plan: PlanName, meter: Unit, quantity: int, price: Decimal) -> TieredUsage:
    terms = card.terms(plan)
    tiers = terms.tiers.of(meter)
    schedule = None if tiers is None else TierSchedule(meter, terms.price_of(meter), tiers)
    return TieredUsage(meter, quantity, price, schedule)


def _add_up(card: RateCard, usages: Iterable[TieredUsage]) -> Money:
    return sum((round_to_fen(usage.charged, card.currency) for usage in usages), Money.zero(card.currency))


def _price_hours(card: RateCard, plan: PlanName, seconds: int) -> Money:
    return round_to_fen(price_usage(Unit.GPU_SECONDS, seconds, card.terms(plan).per_gpu_hour), card.currency)


def _charge_unmet(card: RateCard, amount: Money) -> PlanCost:
    zero = Money.zero(card.currency)
    return PlanCost(zero, zero, amount, zero)
