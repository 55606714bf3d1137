"""What a hold keeps of its legs for the rest of its job, what it lets go, and what it lacks."""

from dataclasses import replace

import pytest

from broker.contracts.terms.model import CardChoice
from broker.ledger.books.model import AccountKind, LegState
from broker.ledger.holding.adjusted_legs import list_passed_over, part_legs, plan_adjusted_legs
from broker.ledger.holding.legs import NewLeg, OpenGrants, list_origins
from broker.ledger.tables import HoldLeg
from pricing.grants import GrantScope
from pricing.plans import PlanName
from pricing.rate_card import load_rate_cards
from pricing.usage import Unit, Usage
from tests.broker.contract_terms import make_terms
from tests.broker.ledger.holding.test_wide_holds import make_grant

CARDS = load_rate_cards()
TERMS = make_terms(plan=PlanName.PREPAID, cards=(CARDS["2026-01-01"],))
MOMENT = TERMS.starts_at
PRICE = TERMS.overage_prices_at(MOMENT, "rtx-4090").per_gpu_hour
TOKEN_PRICE = TERMS.prices_at(MOMENT).per_token
OWN = make_grant(TERMS, 0, GrantScope(), "5.2", advance=True)
# It pays for another GPU type alone.
OTHER = make_grant(TERMS, 1, GrantScope(Unit.GPU_SECONDS, None, "h100-80g"), "6.8", advance=True)
GRANTS = OpenGrants.of([OWN, OTHER], {OWN.id: 500, OTHER.id: 700})
ORIGINS = list_origins(TERMS, None, "rtx-4090", MOMENT)


def make_leg(name: str, *, held: int = 100, **fields) -> HoldLeg:
    """Make a leg of seconds outside grants; any of its fields may be told."""
    leg = {
        "id": name,
        "unit": Unit.GPU_SECONDS,
        "unit_price": PRICE,
        "grant_id": None,
        "billable": True,
        "borne": False,
        "held": held,
        "captured": 0,
        "released": 0,
    }
    return HoldLeg(**(leg | fields))


def of_grant(name: str, grant, **fields) -> HoldLeg:
    return make_leg(name, grant_id=grant.id, unit_price=grant.unit_price, billable=False, **fields)


def test_passed_over_is_what_may_not_pay_for_the_usage_or_has_another_price() -> None:
    legs = [
        of_grant("own", OWN),
        of_grant("of another type", OTHER),
        make_leg("at its price"),
        make_leg("at another price", unit_price=PRICE + 1),
        make_leg("of tokens", unit=Unit.TOKENS, unit_price=TOKEN_PRICE),
        make_leg("of tokens at another price", unit=Unit.TOKENS, unit_price=TOKEN_PRICE + 1),
        make_leg("money", unit=Unit.MICRO_YUAN, unit_price=None, month="2026-11"),
    ]
    passed = list_passed_over(TERMS, GRANTS, legs, ORIGINS, MOMENT)
    assert passed == {"of another type", "at another price", "of tokens at another price"}


def test_a_price_is_that_of_the_moment() -> None:
    card, later = CARDS["2026-01-01"], MOMENT.replace(month=12)
    prepaid = card.plans[PlanName.PREPAID]
    plans = card.plans | {PlanName.PREPAID: prepaid.model_copy(update={"per_gpu_hour": PRICE + 1})}
    dearer = card.model_copy(update={"version": "2026-12", "effective_from": later.date(), "plans": plans})
    terms, legs = replace(TERMS, cards=(card, dearer), card_choice=CardChoice.NEWEST), [make_leg("of November")]
    assert list_passed_over(terms, GRANTS, legs, ORIGINS, MOMENT) == set()
    assert list_passed_over(terms, GRANTS, legs, ORIGINS, later) == {"of November"}
    assert plan_adjusted_legs(terms, GRANTS, [as_state(legs[0])], Usage(600), ORIGINS, later) == [
        granted(500),
        replace(seconds(100), unit_price=PRICE + 1),
    ]


def as_state(leg: HoldLeg) -> LegState:
    return LegState(
        Unit(leg.unit),
        leg.unit_price,
        leg.billable,
        leg.held,
        leg.captured,
        leg.released,
        None,
        leg.borne,
        leg.grant_id,
    )


def seconds(quantity: int) -> NewLeg:
    return NewLeg(Unit.GPU_SECONDS, AccountKind.UNCOMMITTED, quantity, PRICE, billable=True)


def granted(quantity: int) -> NewLeg:
    return NewLeg(Unit.GPU_SECONDS, AccountKind.GRANTED, quantity, OWN.unit_price, billable=False, grant_id=OWN.id)


@pytest.mark.parametrize(
    ("need", "planned"),
    [
        (0, []),
        (30, [granted(30)]),
        (40, [granted(40)]),
        (60, [granted(40), seconds(20)]),
        (140, [granted(40), seconds(100)]),
        # Beyond what the hold has, what grants have free goes first, and is one leg with what was kept of them.
        (141, [granted(41), seconds(100)]),
        (640, [granted(540), seconds(100)]),
        (650, [granted(540), seconds(110)]),
    ],
)
def test_what_a_hold_has_that_may_pay_is_kept_before_more_is_drawn(need, planned) -> None:
    legs = [
        of_grant("of another type", OTHER),
        make_leg("borne", borne=True),
        make_leg("at another price", unit_price=PRICE + 1),
        make_leg("tokens", unit=Unit.TOKENS, unit_price=TOKEN_PRICE),
        of_grant("own", OWN, held=100, captured=50, released=10),
        make_leg("at its price"),
    ]
    plan = plan_adjusted_legs(TERMS, GRANTS, list(map(as_state, legs)), Usage(need), ORIGINS, MOMENT)
    assert plan == planned


def test_tokens_and_seconds_are_each_kept_of_their_own_legs() -> None:
    legs = [make_leg("tokens", unit=Unit.TOKENS, unit_price=TOKEN_PRICE, held=70), of_grant("own", OWN, held=40)]
    plan = plan_adjusted_legs(TERMS, GRANTS, list(map(as_state, legs)), Usage(40, 80), ORIGINS, MOMENT)
    tokens = NewLeg(Unit.TOKENS, AccountKind.UNCOMMITTED, 80, TOKEN_PRICE, billable=True)
    assert sorted(plan, key=lambda leg: leg.unit) == [granted(40), tokens]


def test_what_is_wanted_is_parted_into_what_is_let_go_and_what_lacks() -> None:
    money = make_leg("money", unit=Unit.MICRO_YUAN, unit_price=None, billable=False, month="2026-11")
    borne = make_leg("borne", borne=True)
    first, second = make_leg("first", held=100, captured=20, released=10), make_leg("second")
    own, tokens = of_grant("own", OWN), make_leg("tokens", unit=Unit.TOKENS, unit_price=TOKEN_PRICE)
    surplus, more = part_legs(
        [money, borne, first, second, own, tokens], [seconds(50), granted(60), seconds(40), granted(70)]
    )
    assert [(leg.id, quantity) for leg, quantity in surplus] == [
        ("first", 0),
        ("second", 80),
        ("own", 0),
        ("tokens", 100),
    ]
    assert more == [granted(30)]


def test_legs_that_differ_in_unit_or_price_or_in_who_pays_are_no_sources_of_each_other() -> None:
    dearer = make_leg("dearer", unit_price=PRICE + 1)
    tokens = make_leg("tokens at the price of an hour", unit=Unit.TOKENS)
    arrears = make_leg("in arrears", grant_id=OWN.id, unit_price=OWN.unit_price, billable=True)
    surplus, more = part_legs([dearer, tokens, arrears], [seconds(50), granted(60)])
    assert [quantity for _leg, quantity in surplus] == [100, 100, 100]
    assert more == [seconds(50), granted(60)]
