"""What a job's usage can be charged to, before it is: open legs, grants, then overage. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from broker.contracts.terms.model import ContractTerms, Overage
from broker.ledger.books.closed_months import BilledMonth
from broker.ledger.books.model import Leg, LegDraw, plan_capture
from broker.ledger.capturing.charging import PlannedDraws, Supply
from broker.ledger.holding.legs import NewLeg, OpenGrants, burn_grants, plan_uncommitted_leg, price_uncommitted
from broker.ledger.rating.charge_limit import RateSegment
from pricing.grants import UsageOrigin
from pricing.usage import METERS, Unit, Usage


def plan_supply(
    terms: ContractTerms,
    grants: OpenGrants,
    legs: Sequence[Leg],
    usage: Usage,
    *,
    origins: Mapping[Unit, UsageOrigin],
    moment: datetime,
    months: BilledMonth,
) -> Supply:
    """Plan what usage up to a moment can be charged to, as far as the contract lets it.

    `origins` are those of its meters. What a hold has of a grant that does not pay for this moment is passed over.
    Beyond the grants of a contract that blocks overage there is nothing, and nothing at all after a contract's end.
    Units: GPU-seconds and tokens.
    """
    if terms.ends_before(moment):
        return Supply(dict.fromkeys(METERS, ()))
    units, planned = {}, {}
    for meter in METERS:
        quantity = usage.count(meter)
        draws, more = plan_draws(terms, grants, legs, origins[meter], quantity, moment)
        extended = [*legs, *more]
        units[meter] = [(to_segment(extended[draw.index], months), draw.quantity) for draw in draws]
        planned[meter] = PlannedDraws(quantity, draws, more)
    return Supply(units, planned)


def plan_draws(
    terms: ContractTerms,
    grants: OpenGrants,
    legs: Sequence[Leg],
    origin: UsageOrigin,
    quantity: int,
    moment: datetime,
) -> tuple[list[LegDraw], list[NewLeg]]:
    """Plan what usage of a moment draws from the legs of a hold, and by which legs that is extended for it before.

    Grants pay what the hold has not of grants already, also where it has overage: they may have been given since. It is
    extended as far as the contract lets usage be charged; draws from those legs come after the others in number.
    """
    closed, price = grants.list_closed(origin, moment), price_uncommitted(terms, origin, moment)
    draws, missing = plan_capture(legs, origin.meter, quantity, closed=closed, price=price)
    beside_grants = sum(draw.quantity for draw in draws if legs[draw.index].grant_id is None)
    if not beside_grants and not missing:
        return draws, []
    more = burn_grants(grants, beside_grants + missing, origin, moment)
    if terms.at(moment).overage != Overage.BLOCK or origin.meter != Unit.GPU_SECONDS:
        missing = max(0, missing - sum(leg.quantity for leg in more))
        more += plan_uncommitted_leg(terms, origin, missing, moment)
    if more:
        extended = [*legs, *more]
        draws, _missing = plan_capture(extended, origin.meter, quantity, closed=closed, price=price)
    return draws, more


def to_segment(leg: Leg, months: BilledMonth) -> RateSegment:
    """Tell the rate segment that a leg's usage belongs to in a month."""
    assert leg.unit_price is not None, "money has no price"
    return RateSegment(Unit(leg.unit), leg.unit_price, leg.billable, months.billed, months.late_of)
