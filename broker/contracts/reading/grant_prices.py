"""What the grants of a customer's contracts cost, for a quote: read in its one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Text, cast, func, select

from broker.contracts.tables import Contract, Grant
from broker.contracts.terms.model import GrantStatus
from pricing.usage import Unit


@dataclass(frozen=True)
class GrantPrice:
    """What a grant's units cost. Units: yuan per GPU-hour or token."""

    unit: Unit
    unit_price: Decimal


def select_grant_prices(customer_id: ColumnElement[str]) -> ScalarSelect[Any]:
    """Select the prices of a customer's active grants, as part of a larger statement; see `read_grant_prices`."""
    price = func.jsonb_build_array(Grant.contract_id, Grant.unit, cast(Grant.unit_price, Text))
    contracts = select(Contract.id).where(Contract.customer_id == customer_id)
    active = (Grant.status == GrantStatus.ACTIVE.value) & Grant.contract_id.in_(contracts)
    own = select(func.jsonb_agg(price.distinct())).where(active)
    return own.scalar_subquery()


def read_grant_prices(written: Sequence[tuple[str, str, str]] | None) -> dict[str, list[GrantPrice]]:
    """Read the prices that `select_grant_prices` selected, by contract."""
    prices: dict[str, list[GrantPrice]] = {}
    for contract_id, unit, unit_price in written or ():
        prices.setdefault(contract_id, []).append(GrantPrice(Unit(unit), Decimal(unit_price)))
    return prices
