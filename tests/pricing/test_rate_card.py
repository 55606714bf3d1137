import json
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pricing.catalog import CATALOG
from pricing.plans import PlanName
from pricing.rate_card import (
    NoPriceInForce,
    RateCard,
    RateCardInvalid,
    choose_card,
    load_rate_cards,
    parse_rate_card,
)
from pricing.usage import Unit

TEXT = (CATALOG / "rate_cards" / "2026-01-01.yaml").read_text(encoding="utf-8")
CARD = parse_rate_card(TEXT)


def refused_fields(text):
    with pytest.raises(RateCardInvalid) as caught:
        parse_rate_card(text)
    return [problem.field for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("plan", "per_gpu_hour", "per_token", "minimum", "queue"),
    [
        (PlanName.ON_DEMAND, "6.8", "0.00012", 0, "standard"),
        (PlanName.PREPAID, "5.2", "0.00009", 500, "priority"),
        (PlanName.LONG_TERM, "4.0", "0.00006", 2000, "dedicated"),
    ],
)
def test_the_catalogue_holds_the_price_table(plan, per_gpu_hour, per_token, minimum, queue):
    card = load_rate_cards()["2026-01-01"]
    assert card.currency == "CNY"
    assert card.prices(plan).of(Unit.GPU_SECONDS) == Decimal(per_gpu_hour)
    assert card.prices(plan).of(Unit.TOKENS) == Decimal(per_token)
    assert (card.terms(plan).minimum_commit_gpu_hours, card.terms(plan).queue) == (minimum, queue)
    assert card.terms(plan).advance == (plan == PlanName.PREPAID)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('"6.8"', "6.8", "plans.on_demand.per_gpu_hour"),
        ('"6.8"', "7", "plans.on_demand.per_gpu_hour"),
        ('"6.8"', '"NaN"', "plans.on_demand.per_gpu_hour"),
        ('"0.00009"', '"-0.00009"', "plans.prepaid.per_token"),
        ("500", '"500"', "plans.prepaid.minimum_commit_gpu_hours"),
        ("advance: true", "advance: 1", "plans.prepaid.advance"),
        ("queue: dedicated", "queue: fast", "plans.long_term.queue"),
        ("  long_term:", "  longterm:", "plans.longterm"),
        ("per_gpu_hour", "per_hour", "plans.on_demand.per_gpu_hour"),
        ("currency: CNY", "currency: yuan", "currency"),
        ('version: "2026-01-01"', "version: 2026-01-01", "version"),
        ("effective_from: 2026-01-01", "effective_from: soon", "effective_from"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(old, new, field):
    assert old in TEXT
    assert field in refused_fields(TEXT.replace(old, new))


def test_a_card_without_one_of_the_plans_is_refused():
    raw = CARD.to_json_dict()
    del raw["plans"]["long_term"]
    with pytest.raises(RateCardInvalid, match="missing under plans: long_term"):
        RateCard.from_json_dict(raw)


def test_an_on_demand_minimum_is_refused():
    raw = CARD.to_json_dict()
    raw["plans"]["on_demand"]["minimum_commit_gpu_hours"] = 1
    with pytest.raises(RateCardInvalid, match="on-demand commits to nothing"):
        RateCard.from_json_dict(raw)


def test_a_price_written_twice_is_refused():
    twice = TEXT.replace('    per_gpu_hour: "6.8"\n', '    per_gpu_hour: "6.8"\n    per_gpu_hour: "0.1"\n')
    with pytest.raises(RateCardInvalid, match="'per_gpu_hour' is written twice"):
        parse_rate_card(twice)


@pytest.mark.parametrize("text", ["", "- a list", "a: [", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_card_at_all_is_refused(text):
    assert refused_fields(text) == ["rate_card"]


def test_the_canonical_form_has_plain_strings_and_comes_back_the_same():
    raw = CARD.to_json_dict()
    assert raw["plans"]["long_term"]["per_gpu_hour"] == "4"
    assert raw["plans"]["long_term"]["per_token"] == "0.00006"
    assert RateCard.from_json_dict(json.loads(json.dumps(raw))) == CARD


@pytest.mark.parametrize(("written", "canonical"), [("0.00000001", "0.00000001"), ("100", "100"), ("6.80", "6.8")])
def test_the_canonical_form_of_a_price_has_no_exponent(written, canonical):
    card = parse_rate_card(TEXT.replace('"6.8"', f'"{written}"'))
    assert card.to_json_dict()["plans"]["on_demand"]["per_gpu_hour"] == canonical


def test_a_card_cannot_be_changed():
    with pytest.raises(ValidationError):
        CARD.terms(PlanName.PREPAID).per_gpu_hour = Decimal(1)


def test_latest_card_that_has_begun_counts_and_of_one_day_the_later_version():
    july = [CARD.model_copy(update={"version": each, "effective_from": date(2026, 7, 1)}) for each in ("v10", "V3")]
    cards = [*july, CARD]
    assert choose_card(cards, date(2026, 6, 30)) == CARD
    assert choose_card(cards, date(2026, 7, 1)).version == "v10"
    with pytest.raises(NoPriceInForce):
        choose_card(cards, date(2025, 12, 31))


MULTIPLIERS = 'gpu_multipliers:\n  h100-80g: "2.5"\n  rtx-3090: "0.75"\n'
TYPED = parse_rate_card(TEXT + MULTIPLIERS)


@pytest.mark.parametrize(
    ("gpu_type", "per_gpu_hour", "multiplier"),
    [
        ("h100-80g", "13", "2.5"),
        ("RTX 3090", "3.9", "0.75"),  # by any spelling of the catalogue
        ("cpu", "5.2", "1"),
        ("a type of tomorrow", "5.2", "1"),
        (None, "5.2", "1"),
    ],
)
def test_an_hour_costs_what_its_gpu_type_multiplies_it_to_and_a_token_the_same(gpu_type, per_gpu_hour, multiplier):
    prices = TYPED.prices(PlanName.PREPAID, gpu_type)
    assert (prices.per_gpu_hour, prices.gpu_multiplier) == (Decimal(per_gpu_hour), Decimal(multiplier))
    assert prices.per_token == CARD.prices(PlanName.PREPAID).per_token


def test_a_card_without_multipliers_charges_every_type_alike_and_writes_none():
    assert CARD.prices(PlanName.PREPAID, "h100-80g") == CARD.prices(PlanName.PREPAID)
    assert set(CARD.to_json_dict()) == {"version", "currency", "effective_from", "plans"}


def test_multipliers_are_in_the_canonical_form():
    raw = json.loads(json.dumps(TYPED.to_json_dict()))
    assert raw["gpu_multipliers"] == {"h100-80g": "2.5", "rtx-3090": "0.75"}
    assert RateCard.from_json_dict(raw) == TYPED


@pytest.mark.parametrize("written", ["2.5", '"NaN"', '"Infinity"', '"-1"', '"0"', '"1.00001"', '"123456"', "true"])
def test_a_multiplier_that_is_no_exact_number_above_zero_is_refused_by_its_name(written):
    assert refused_fields(TEXT + MULTIPLIERS.replace('"2.5"', written)) == ["gpu_multipliers.h100-80g"]


@pytest.mark.parametrize(
    ("name", "cure"), [("h100", "write h100-80g"), ("gtx-9", "known GPU types: a10, a100-40g"), ("x.y", "known")]
)
def test_a_multiplier_of_a_type_that_the_catalogue_does_not_name_so_is_refused(name, cure):
    with pytest.raises(RateCardInvalid, match=cure) as caught:
        parse_rate_card(TEXT + MULTIPLIERS.replace("h100-80g", name))
    assert [problem.field for problem in caught.value.problems] == [f"gpu_multipliers.{name}"]


def test_a_published_multiplier_of_a_type_that_the_catalogue_has_no_more_stays_readable():
    raw = {**TYPED.to_json_dict(), "gpu_multipliers": {"voodoo-2": "9"}}
    assert RateCard.from_json_dict(raw).prices(PlanName.ON_DEMAND, "voodoo-2").per_gpu_hour == Decimal("61.2")


def test_a_price_that_a_multiplier_makes_finer_than_the_books_keep_is_refused():
    fine = TEXT.replace('"6.8"', '"6.800000000001"') + MULTIPLIERS
    assert refused_fields(fine) == ["gpu_multipliers.h100-80g", "gpu_multipliers.rtx-3090"]


STEPS = (
    "    tiers:\n      gpu_hours:\n        mode: graduated\n        steps:\n"
    '        - {above: 100, price: "6.0"}\n        - {above: 500, price: "5.5"}\n'
)
TIERED = TEXT.replace("    queue: standard\n", "    queue: standard\n" + STEPS)


def test_tiers_are_steps_beyond_the_plans_own_price_and_come_back_from_the_canonical_form():
    card = parse_rate_card(TIERED)
    tiers = card.terms(PlanName.ON_DEMAND).tiers.of(Unit.GPU_SECONDS)
    assert [(step.above, step.price) for step in tiers.steps] == [(100, Decimal(6)), (500, Decimal("5.5"))]
    assert card.prices(PlanName.ON_DEMAND) == CARD.prices(PlanName.ON_DEMAND)
    assert (card.has_tiers, CARD.has_tiers) == (True, False)
    raw = json.loads(json.dumps(card.to_json_dict()))
    assert raw["plans"]["on_demand"]["tiers"]["gpu_hours"]["steps"][0] == {"above": 100, "price": "6"}
    assert "tiers" not in raw["plans"]["prepaid"]
    assert RateCard.from_json_dict(raw) == card


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("gpu_hours", "gpu_days", "gpu_days"),
        ("graduated", "stepped", "gpu_hours.mode"),
        ("graduated", "flat", "gpu_hours.steps"),
        ("above: 100", "above: 0", "gpu_hours.steps.0.above"),
        ("above: 100", "above: -1", "gpu_hours.steps.0.above"),
        ("above: 100", "above: 99.5", "gpu_hours.steps.0.above"),
        ("above: 500", "above: 100", "gpu_hours.steps.1.above"),
        ("above: 500", "above: 50", "gpu_hours.steps.1.above"),
        ('"5.5"', "5.5", "gpu_hours.steps.1.price"),
        ('"5.5"', '"NaN"', "gpu_hours.steps.1.price"),
        ('"5.5"', '"-1"', "gpu_hours.steps.1.price"),
        ('"5.5"', '"6.0"', "gpu_hours.steps.1.price"),
        ('"6.0"', '"6.9"', "gpu_hours.steps.0.price"),  # a settlement would add to what a limit has promised
    ],
)
def test_a_wrong_tier_is_refused_by_its_name(old, new, field):
    assert old in STEPS
    assert refused_fields(TIERED.replace(STEPS, STEPS.replace(old, new))) == [f"plans.on_demand.tiers.{field}"]


def test_a_mode_with_tiers_needs_a_step():
    bare = TIERED.replace(STEPS, "    tiers: {tokens: {mode: volume}}\n")
    assert refused_fields(bare) == ["plans.on_demand.tiers.tokens.steps"]


@given(st.integers(0, 10**18 - 1), st.integers(1, 10**8 - 1))
def test_a_multiplied_price_is_exact_or_refused(price, multiplier):
    written = Decimal(price).scaleb(-12), Decimal(multiplier).scaleb(-4)
    exact = Fraction(written[0]) * Fraction(written[1])
    raw = {**CARD.to_json_dict(), "gpu_multipliers": {"h200": str(written[1])}}
    raw["plans"] = {plan: {**terms, "per_gpu_hour": str(written[0])} for plan, terms in raw["plans"].items()}
    try:
        card = RateCard.from_json_dict(raw)
    except RateCardInvalid:
        assert (exact * 10**12).denominator > 1, "the books keep twelve places"
        return
    assert Fraction(card.prices(PlanName.PREPAID, "h200").per_gpu_hour) == exact
