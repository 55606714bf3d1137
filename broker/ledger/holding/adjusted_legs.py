"""What a hold is to have of each source for what is left of its job, beside what it has. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.model import AccountKind, Leg, LegState, compute_money_needed, has_other_price
from broker.ledger.holding.legs import NewLeg, OpenGrants, plan_meter_legs, price_uncommitted
from broker.ledger.holding.wide_holds import merge_legs
from broker.ledger.tables import HoldLeg
from pricing.grants import UsageOrigin
from pricing.usage import Unit, Usage

# Where units come from, and what they cost.
Source = tuple[str, str | None, Decimal | None, bool]


def list_passed_over(
    terms: ContractTerms,
    grants: OpenGrants,
    legs: Sequence[HoldLeg],
    origins: Mapping[Unit, UsageOrigin],
    moment: datetime,
) -> set[str]:
    """List the legs that usage of these origins draws nothing from: of grants that may not pay, or at another price."""
    passed: set[str] = set()
    for meter, origin in origins.items():
        closed, price = grants.list_closed(origin, moment), price_uncommitted(terms, origin, moment)
        passed |= {
            leg.id for leg in legs if leg.unit == meter and (leg.grant_id in closed or has_other_price(leg, price))
        }
    return passed


def plan_adjusted_legs(
    terms: ContractTerms,
    grants: OpenGrants,
    legs: Sequence[Leg],
    need: Usage,
    origins: Mapping[Unit, UsageOrigin],
    moment: datetime,
) -> list[NewLeg]:
    """Plan what a hold is to have for a need: first what it has already that may pay, at its price, then more.

    Raises: InsufficientBalance.
    """
    planned: list[NewLeg] = []
    for meter, origin in origins.items():
        closed, price = grants.list_closed(origin, moment), price_uncommitted(terms, origin, moment)
        kept = _keep(legs, origin, need.count(meter), closed, price)
        lacking = need.count(meter) - sum(leg.quantity for leg in kept)
        planned += kept + plan_meter_legs(grants, terms, lacking, origin, moment)
    return merge_legs(planned)


def _keep(
    legs: Sequence[Leg], origin: UsageOrigin, quantity: int, closed: frozenset[str], price: Decimal
) -> list[NewLeg]:
    """Keep of the legs so many units that usage of an origin can draw, of those first that pay first."""
    kept: list[NewLeg] = []
    for leg in legs:
        if leg.unit != origin.meter or leg.borne or leg.grant_id in closed or has_other_price(leg, price):
            continue
        taken = min(quantity, leg.open_quantity)
        quantity -= taken
        if taken:
            source = AccountKind.UNCOMMITTED if leg.grant_id is None else AccountKind.GRANTED
            kept.append(NewLeg(origin.meter, source, taken, leg.unit_price, leg.billable, leg.grant_id))
    return kept


def compute_money(legs: Iterable[Leg], planned: Iterable[NewLeg]) -> int:
    """Compute the money to hold: the price of billable units, captured and planned, rounded up, less what is captured.

    Units: micro-yuan.
    """
    used = [
        LegState(Unit(leg.unit), leg.unit_price, leg.billable, held=leg.captured, captured=leg.captured, released=0)
        for leg in legs
        if not leg.borne
    ]
    return compute_money_needed([*used, *planned])


def part_legs(legs: Sequence[HoldLeg], wanted: Sequence[NewLeg]) -> tuple[list[tuple[HoldLeg, int]], list[NewLeg]]:
    """Part what is wanted from what a hold has: what is to be released of its legs, and what it lacks."""
    left: Counter[Source] = Counter()
    for leg in wanted:
        left[_source(leg)] += leg.quantity
    surplus: list[tuple[HoldLeg, int]] = []
    for row in legs:
        if row.unit == Unit.MICRO_YUAN or row.borne:
            continue
        kept = min(row.open_quantity, left[_source(row)])
        left[_source(row)] -= kept
        surplus.append((row, row.open_quantity - kept))
    return surplus, [replace(leg, quantity=left[_source(leg)]) for leg in merge_legs(wanted) if left[_source(leg)]]


def _source(leg: NewLeg | HoldLeg) -> Source:
    return str(leg.unit), leg.grant_id, leg.unit_price, leg.billable
