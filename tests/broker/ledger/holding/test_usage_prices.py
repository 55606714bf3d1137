"""What usage still to come costs: first what a hold has of grants, then what is free in them, then the contract's."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from broker.contracts.terms.model import CardChoice, GrantStatus, GrantTerms, Rollover
from broker.ledger.books.model import LegState
from broker.ledger.holding.legs import OpenGrants, list_origins
from broker.ledger.holding.usage_prices import find_usage_prices
from pricing.grants import GrantKind, GrantScope
from pricing.rate_card import load_rate_cards
from pricing.usage import Unit
from pricing.usage_prices import PricedUnits
from tests.broker.contract_terms import make_terms

CARD = load_rate_cards()["2026-01-01"]
NOW = datetime(2026, 11, 10, tzinfo=UTC)
ORIGINS = list_origins(make_terms(), "prj_1", "h200", NOW)


def make_grant(grant_id: str = "gra_1", **fields: object) -> GrantTerms:
    """Make a grant of hours at 4.90 that was paid ahead; any of its fields may be told."""
    grant = GrantTerms(
        id=grant_id,
        contract_id="con_1",
        customer_id="cus_1",
        kind=GrantKind.BOUGHT,
        scope=GrantScope(Unit.GPU_SECONDS, None, None),
        quantity=10**6,
        unit_price=Decimal("4.9"),
        priority=0,
        advance=True,
        invoice_id=None,
        status=GrantStatus.ACTIVE,
        credited=True,
        reason=None,
        rollover=Rollover(),
        effective_at=NOW,
        expires_at=None,
        created_at=NOW,
    )
    return replace(grant, **fields)  # type: ignore[arg-type]


def held(grant_id: str | None = "gra_1", **fields: object) -> LegState:
    """Make a leg that holds 600 units, of which 100 were captured and 200 given back."""
    leg = LegState(Unit.GPU_SECONDS, Decimal("4.9"), False, 600, 100, 200, grant_id=grant_id)
    return replace(leg, **fields)  # type: ignore[arg-type]


def test_what_a_hold_has_of_grants_pays_before_what_is_free_in_them() -> None:
    grants = OpenGrants.of([make_grant(), make_grant("gra_2", advance=False)], {"gra_1": 0, "gra_2": 50})
    prices = find_usage_prices(make_terms(), grants, ORIGINS, NOW, [held(), held("gra_2", billable=True)])
    assert prices.granted[Unit.GPU_SECONDS] == (
        PricedUnits(300, Decimal("4.9"), False),
        PricedUnits(300, Decimal("4.9"), True),
        PricedUnits(50, Decimal("4.9"), True),
    )
    assert prices.granted[Unit.TOKENS] == ()


@pytest.mark.parametrize(
    ("grant", "leg"),
    [
        ({"expires_at": NOW}, {}),
        ({"scope": GrantScope(Unit.GPU_SECONDS, "prj_2", None)}, {}),
        ({}, {"borne": True}),
        ({}, {"grant_id": None}),
        ({}, {"unit": Unit.TOKENS}),
        ({}, {"unit": Unit.MICRO_YUAN, "unit_price": None}),
    ],
)
def test_what_pays_for_none_of_it_is_left_out(grant: dict[str, object], leg: dict[str, object]) -> None:
    grants = OpenGrants.of([make_grant(**grant)], {})
    prices = find_usage_prices(make_terms(), grants, ORIGINS, NOW, [held(**leg)])
    assert prices.granted[Unit.GPU_SECONDS] == ()


def test_beyond_grants_usage_costs_what_it_does_at_its_moment() -> None:
    plans = {plan: terms.model_copy(update={"per_gpu_hour": Decimal(9)}) for plan, terms in CARD.plans.items()}
    later = CARD.model_copy(update={"version": "dear", "effective_from": NOW.date().replace(month=12), "plans": plans})
    terms = make_terms(cards=(CARD, later), card_choice=CardChoice.NEWEST)
    none = OpenGrants.of([], {})
    prices = [find_usage_prices(terms, none, ORIGINS, moment).per_gpu_hour for moment in (NOW, NOW.replace(month=12))]
    assert prices == [Decimal("6.8"), Decimal(9)]
