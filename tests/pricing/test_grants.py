from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.grants import BurnDown, Draw, Grant, burn_down

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def grant_of(grant_id="g", remaining=100, price="5.2", priority=0, expires_in_days=None):
    expires_at = None if expires_in_days is None else NOW + timedelta(days=expires_in_days)
    return Grant(grant_id, remaining, Decimal(price), priority, expires_at)


GRANTS = st.lists(
    st.builds(
        grant_of,
        grant_id=st.text("abcdef", min_size=1, max_size=4),
        remaining=st.integers(0, 1000),
        price=st.sampled_from(["4.0", "5.2", "6.8"]),
        priority=st.integers(0, 2),
        expires_in_days=st.none() | st.integers(-2, 3),
    ),
    max_size=8,
    unique_by=lambda grant: grant.id,
)
ASKED = st.integers(0, 5000)


def is_usable(grant):
    return grant.remaining_gpu_seconds > 0 and (grant.expires_at is None or grant.expires_at > NOW)


@given(GRANTS, ASKED)
def test_draws_and_shortfall_are_what_was_asked(grants, asked):
    result = burn_down(grants, asked, now=NOW)
    assert sum(draw.gpu_seconds for draw in result.draws) + result.shortfall_gpu_seconds == asked


@given(GRANTS, ASKED)
def test_there_is_a_shortfall_only_where_the_usable_grants_do_not_suffice(grants, asked):
    usable = sum(grant.remaining_gpu_seconds for grant in grants if is_usable(grant))
    assert burn_down(grants, asked, now=NOW).shortfall_gpu_seconds == max(0, asked - usable)


@given(GRANTS, ASKED)
def test_no_grant_pays_more_than_it_has_and_none_that_is_expired_or_empty_pays(grants, asked):
    by_id = {grant.id: grant for grant in grants}
    draws = burn_down(grants, asked, now=NOW).draws
    assert len({draw.grant_id for draw in draws}) == len(draws)
    for draw in draws:
        grant = by_id[draw.grant_id]
        assert is_usable(grant)
        assert 0 < draw.gpu_seconds <= grant.remaining_gpu_seconds
        assert draw.unit_price == grant.unit_price


@given(GRANTS, ASKED)
def test_all_but_the_last_grant_that_pays_are_emptied(grants, asked):
    by_id = {grant.id: grant for grant in grants}
    draws = burn_down(grants, asked, now=NOW).draws
    assert all(draw.gpu_seconds == by_id[draw.grant_id].remaining_gpu_seconds for draw in draws[:-1])


@given(GRANTS, ASKED, st.randoms())
def test_the_order_in_which_grants_are_given_does_not_matter(grants, asked, random):
    shuffled = random.sample(grants, len(grants))
    assert burn_down(shuffled, asked, now=NOW) == burn_down(grants, asked, now=NOW)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"priority": 0, "price": "6.8"}, {"priority": 1, "expires_in_days": 1}),
        ({"expires_in_days": 1, "price": "6.8"}, {"expires_in_days": 2, "price": "4.0"}),
        ({"expires_in_days": 900}, {"expires_in_days": None, "price": "4.0"}),
        ({"price": "4.0", "grant_id": "z"}, {"price": "5.2", "grant_id": "a"}),
        ({"grant_id": "a"}, {"grant_id": "b"}),
    ],
)
def test_priority_then_expiry_then_price_then_id_decides(first, second):
    first, second = grant_of(**{"grant_id": "first", **first}), grant_of(**{"grant_id": "second", **second})
    assert burn_down([second, first], 1, now=NOW).draws == (Draw(first.id, 1, first.unit_price),)


def test_a_grant_is_gone_at_the_moment_it_expires():
    assert burn_down([grant_of(expires_in_days=0)], 5, now=NOW) == BurnDown((), shortfall_gpu_seconds=5)


def test_a_draw_runs_over_into_the_next_grant():
    grants = [grant_of("a", 60, "5.2"), grant_of("b", 100, "5.5")]
    assert burn_down(grants, 100, now=NOW) == BurnDown(
        (Draw("a", 60, Decimal("5.2")), Draw("b", 40, Decimal("5.5"))), shortfall_gpu_seconds=0
    )


def test_a_negative_draw_is_refused():
    with pytest.raises(ValueError, match="-1"):
        burn_down([grant_of()], -1, now=NOW)
