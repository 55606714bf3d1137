"""Reading what may end a job's charge: its promise and its contract's budget, with what counts towards them so far."""

from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.rating.charge_limit import NOTHING_PROMISED, ChargeLimits, MonthBudget, Promise
from pricing.money import Money
from pricing.usage import Unit


async def read_charge_limits(view: HoldView, promise: Promise, month: str) -> ChargeLimits:
    """Read all that may end a job's charge in a month. The caller holds the locks of hold and contract."""
    budget = await _read_budget(view, month)
    if budget is None and promise == NOTHING_PROMISED:
        return ChargeLimits()
    return ChargeLimits(
        promise=promise,
        lines=await view.books.read_lines(view.hold.job_id),
        segments=await view.books.read_segments(month),
        budget=budget,
    )


async def _read_budget(view: HoldView, month: str) -> MonthBudget | None:
    budget = view.terms.find_budget(month)
    if budget is None:
        return None
    free = await view.books.read_budget_free(month, budget)
    money = [leg for leg in view.legs if (leg.unit, leg.month, leg.borne) == (Unit.MICRO_YUAN, month, False)]
    may_ask = Money(budget) + await view.books.read_corrected(month)
    return MonthBudget(may_ask, reach_micros=free + sum(leg.open_quantity for leg in money))
