"""Holds of jobs that may run on any of several GPU types: of each source what the type needs that draws most. Pure.

Types differ in seconds, in price, and in which grants pay for them; only one of them will run. So a hold has of each
grant, and of the month's budget, as much as the accepted type that draws most from it: whichever runs is covered, and
nothing is reserved twice. Beyond grants seconds have no bound; those of the dearest type stand for all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from broker.ledger.holding.legs import NewLeg, OpenGrants
from broker.ledger.holding.reserves import HoldNeed, Reserves
from pricing.rating import price_usage
from pricing.usage import Unit


def plan_wide_hold(
    reserves: Reserves, needs: Sequence[HoldNeed], moment: datetime
) -> tuple[HoldNeed, Sequence[NewLeg]]:
    """Plan the legs of a hold that covers each of several needs, of which one will come; and tell the dearest need.

    Raises: NoContractInForce, InsufficientBalance, CreditLimitExceeded, BudgetExceeded, where one is not covered.
    """
    plans = [reserves.plan_hold(need, moment) for need in needs]
    if len(plans) == 1:
        return needs[0], plans[0]
    dearest = find_dearest(plans)
    return needs[dearest], widen_legs(plans, dearest, reserves.grants)


def find_dearest(plans: Sequence[Sequence[NewLeg]]) -> int:
    """Find the plan that holds the most money; of those that hold as much, the one whose units are worth most."""
    return max(range(len(plans)), key=lambda place: (_count_money(plans[place]), _value(plans[place]), -place))


def widen_legs(plans: Sequence[Sequence[NewLeg]], dearest: int, grants: OpenGrants) -> Sequence[NewLeg]:
    """Widen the legs of the dearest plan by what others need more of a grant, in the order of deduction."""
    if len(plans) == 1:
        return plans[0]
    most: dict[str, NewLeg] = {}
    for leg in (leg for plan in plans for leg in merge_legs(plan) if leg.grant_id is not None):
        assert leg.grant_id is not None
        if leg.grant_id not in most or most[leg.grant_id].quantity < leg.quantity:
            most[leg.grant_id] = leg
    ranks = {grant_id: rank for rank, grant_id in enumerate(grants.list_in_order())}
    of_grants = sorted(most.values(), key=lambda leg: ranks[leg.grant_id or ""])
    return [*of_grants, *(leg for leg in plans[dearest] if leg.grant_id is None)]


def merge_legs(legs: Iterable[NewLeg]) -> list[NewLeg]:
    """Merge legs that are drawn from one source at one price, where the first of them stands."""
    merged: dict[tuple[object, ...], NewLeg] = {}
    for leg in legs:
        source = (leg.unit, leg.source, leg.grant_id, leg.unit_price, leg.billable, leg.month)
        earlier = merged.get(source)
        merged[source] = leg if earlier is None else replace(earlier, quantity=earlier.quantity + leg.quantity)
    return list(merged.values())


def _count_money(legs: Iterable[NewLeg]) -> int:
    return sum(leg.quantity for leg in legs if leg.unit == Unit.MICRO_YUAN)


def _value(legs: Iterable[NewLeg]) -> Fraction:
    priced = (price_usage(leg.unit, leg.quantity, leg.unit_price) for leg in legs if leg.unit_price is not None)
    return sum(priced, Fraction(0))
