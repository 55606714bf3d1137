"""What each day of a billing month cost: the usage of an invoice by the day on which it was used, to the fen.

Each rate segment is rounded once, as its invoice rounds it, and its days share that by largest remainder: so the days
add up to the lines of usage. What grants paid is among it, since a day's usage is what it is whoever pays. What a month
takes back or adds of closed ones is of none of its days.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from sqlalchemy import text

from broker.clock import local_day
from broker.contracts.terms.model import ContractTerms
from broker.work import Work
from pricing.money import Money, round_to_fen
from pricing.rounding import share_amount
from pricing.usage import Unit

# The day of a charge is that on which the last interval ended that it is of; one that was lost counts by its booking.
BY_DAY = text("""
    SELECT c.unit, c.unit_price, c.billable,
           (coalesce(e.ended_at, c.created_at) AT TIME ZONE :zone)::date AS day, sum(c.quantity)::bigint AS quantity
    FROM captures c
    LEFT JOIN usage_events e ON e.run_id = c.run_id AND e.sequence = c.last_sequence AND e.corrects IS NULL
    WHERE c.contract_id = :contract_id AND c.month = :month AND c.used_month = :month AND NOT c.borne
      AND (CAST(:asking AS text) IS NULL OR c.customer_id = :asking)
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""")
PER = {Unit.GPU_SECONDS: 3600, Unit.TOKENS: 1}


@dataclass(frozen=True)
class DayCost:
    """What a day used, and what that costs by meter. Units: GPU-seconds, tokens."""

    day: date
    gpu_seconds: int
    tokens: int
    gpu_cost: Money
    token_cost: Money

    @property
    def cost(self) -> Money:
        return self.gpu_cost + self.token_cost


async def read_days(work: Work, terms: ContractTerms, month: str) -> list[DayCost]:
    """Read what each day of a contract's billing month used and cost, days without use among them."""
    told = {"contract_id": terms.id, "month": month, "zone": terms.time_zone, "asking": work.confined_to}
    rows = (await work.session.execute(BY_DAY, told)).all()
    segments: defaultdict[tuple[Unit, Fraction, bool], dict[date, int]] = defaultdict(dict)
    for unit, price, billable, day, quantity in rows:
        segments[Unit(unit), Fraction(price), billable][day] = quantity
    first = local_day(terms.month_start(month), terms.time_zone)
    last = local_day(min(terms.month_end(month), work.now) - timedelta(microseconds=1), terms.time_zone)
    days = {first + timedelta(days=count) for count in range((last - first).days + 1)}
    return add_up_days({*days, *(day for own in segments.values() for day in own)}, segments)


def add_up_days(days: set[date], segments: dict[tuple[Unit, Fraction, bool], dict[date, int]]) -> list[DayCost]:
    """Add up segments by day: each is rounded once, and shared among its days. Pure."""
    quantities: defaultdict[tuple[date, Unit], int] = defaultdict(int)
    amounts: defaultdict[tuple[date, Unit], Money] = defaultdict(Money.zero)
    for (unit, price, _billable), by_day in segments.items():
        own = sorted(by_day)
        exact = [price * Fraction(by_day[day], PER[unit]) for day in own]
        for day, amount in zip(own, share_amount(round_to_fen(sum(exact, Fraction(0))), exact), strict=True):
            quantities[day, unit] += by_day[day]
            amounts[day, unit] += amount
    return [
        DayCost(
            day=day,
            gpu_seconds=quantities[day, Unit.GPU_SECONDS],
            tokens=quantities[day, Unit.TOKENS],
            gpu_cost=amounts[day, Unit.GPU_SECONDS],
            token_cost=amounts[day, Unit.TOKENS],
        )
        for day in sorted(days)
    ]
