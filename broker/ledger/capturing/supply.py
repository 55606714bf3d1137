"""What a job's usage can be charged to, before it is: open legs, grants, then overage. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from broker.contracts.model import ContractTerms, Overage
from broker.ledger.books.closed_months import BilledMonth
from broker.ledger.books.model import LegState, plan_capture
from broker.ledger.capturing.charging import Supply
from broker.ledger.holding.legs import NewLeg, OpenGrants, burn_grants, plan_uncommitted_leg, price_uncommitted
from broker.ledger.rating.charge_limit import RateSegment
from pricing.grants import UsageOrigin
from pricing.usage import METERS, Unit, Usage


def plan_supply(
    terms: ContractTerms,
    grants: OpenGrants,
    legs: Sequence[LegState],
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
    units = {}
    for meter in METERS:
        origin = origins[meter]
        closed = grants.list_closed(origin, moment)
        price = price_uncommitted(terms, origin, moment)
        draws, missing = plan_capture(legs, meter, usage.count(meter), closed=closed, price=price)
        drawn = [replace(legs[draw.index], held=draw.quantity) for draw in draws]
        more = [leg.as_state() for leg in plan_extension(terms, grants, origin, missing, moment)]
        units[meter] = [(to_segment(leg, months), leg.held) for leg in drawn + more]
    return Supply(units)


def plan_extension(
    terms: ContractTerms, grants: OpenGrants, origin: UsageOrigin, quantity: int, moment: datetime
) -> list[NewLeg]:
    """Plan the legs of usage that a hold does not cover any more, as far as the contract lets it be charged."""
    legs = burn_grants(grants, quantity, origin, moment)
    if terms.at(moment).overage == Overage.BLOCK and origin.meter == Unit.GPU_SECONDS:
        return legs
    return legs + plan_uncommitted_leg(terms, origin, quantity - sum(leg.quantity for leg in legs), moment)


def to_segment(leg: LegState, months: BilledMonth) -> RateSegment:
    """Tell the rate segment that a leg's usage belongs to in a month."""
    assert leg.unit_price is not None, "money has no price"
    return RateSegment(leg.unit, leg.unit_price, leg.billable, months.billed, months.late_of)
