"""What usage still to come costs under a contract: what its grants pay for, then what lies beyond them. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.model import Leg
from broker.ledger.holding.legs import NewLeg, OpenGrants, burn_grants, find_uncommitted_prices
from pricing.grants import UsageOrigin
from pricing.usage import METERS, Unit
from pricing.usage_prices import PricedUnits, UsagePrices


def find_usage_prices(
    terms: ContractTerms,
    grants: OpenGrants,
    origins: Mapping[Unit, UsageOrigin],
    moment: datetime,
    held: Sequence[Leg] = (),
) -> UsagePrices:
    """Find what usage of a moment costs, in the order in which it is charged: first what is `held` of grants for it."""
    gpu_hours, tokens = (find_uncommitted_prices(terms, origins[meter], moment) for meter in METERS)
    beyond = gpu_hours.per_gpu_hour, tokens.per_token, tokens.currency
    if not (grants.terms or held):
        return find_plain_prices(*beyond)
    granted = {
        meter: (*_list_held(grants, held, origin, moment), *_list_free(grants, origin, moment))
        for meter, origin in origins.items()
    }
    return UsagePrices(*beyond, granted)


@lru_cache(maxsize=256)  # with what usage came to by them, which many submissions ask for of one quote
def find_plain_prices(per_gpu_hour: Decimal, per_token: Decimal, currency: str) -> UsagePrices:
    """Find the prices of usage that no grant pays for."""
    return UsagePrices(per_gpu_hour, per_token, currency)


def _list_held(grants: OpenGrants, held: Sequence[Leg], origin: UsageOrigin, moment: datetime) -> list[PricedUnits]:
    """List what a hold still has of grants that may pay for usage of a moment."""
    if not held:
        return []
    closed = grants.list_closed(origin, moment)
    return [
        PricedUnits(leg.open_quantity, leg.unit_price, leg.billable)
        for leg in held
        if leg.unit == origin.meter and leg.grant_id is not None and leg.grant_id not in closed and not leg.borne
        if leg.unit_price is not None
    ]


def _list_free(grants: OpenGrants, origin: UsageOrigin, moment: datetime) -> list[PricedUnits]:
    """List what grants have free for usage of a moment, in the order of deduction."""
    free = sum(grants.free.values())
    return [_to_units(leg) for leg in burn_grants(grants, free, origin, moment)] if free else []


def _to_units(leg: NewLeg) -> PricedUnits:
    assert leg.unit_price is not None, "a grant has a price"
    return PricedUnits(leg.quantity, leg.unit_price, leg.billable)
