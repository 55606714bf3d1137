from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, permutations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.grants import (
    BurnDown,
    Draw,
    Grant,
    GrantKind,
    GrantScope,
    UsageOrigin,
    burn_down,
    compute_expiry,
    order_of_deduction,
)
from pricing.usage import Unit

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HOURS, TOKENS = Unit.GPU_SECONDS, Unit.TOKENS
PLAIN = UsageOrigin(HOURS, "prj_a", "rtx-4090")


def grant_of(grant_id="g", remaining=100, price="5.2", *, began_days_ago=30, expires_in_days=None, **fields):
    expires_at = None if expires_in_days is None else NOW + timedelta(days=expires_in_days)
    values = {"scope": GrantScope(), "kind": GrantKind.BOUGHT, "priority": 0, **fields}
    return Grant(
        grant_id,
        remaining,
        Decimal(price),
        values["scope"],
        values["kind"],
        NOW - timedelta(days=began_days_ago),
        expires_at,
        values["priority"],
    )


PROJECTS, GPU_TYPES = ["prj_a", "prj_b"], ["rtx-4090", "a100-80g"]
METERS = st.sampled_from([HOURS, TOKENS])
SCOPES = st.builds(GrantScope, METERS, st.none() | st.sampled_from(PROJECTS), st.none() | st.sampled_from(GPU_TYPES))
ORIGINS = st.builds(
    UsageOrigin, METERS, st.none() | st.sampled_from(PROJECTS), st.none() | st.sampled_from(GPU_TYPES), st.booleans()
)
GRANTS = st.lists(
    st.builds(
        grant_of,
        grant_id=st.text("abcdef", min_size=1, max_size=4),
        remaining=st.integers(0, 1000),
        price=st.sampled_from(["0", "4.0", "5.2", "6.8"]),
        began_days_ago=st.integers(-2, 3),
        expires_in_days=st.none() | st.integers(-2, 3),
        scope=SCOPES,
        kind=st.sampled_from(GrantKind),
        priority=st.sampled_from([0, 0, 0, -1, 1]),
    ),
    max_size=8,
    unique_by=lambda grant: grant.id,
)
ASKED = st.integers(0, 5000)


def is_usable(grant, origin):
    """Tell in other words than the code's whether a grant may pay."""
    scope = grant.scope
    if grant.remaining == 0 or scope.meter != origin.meter or grant.effective_at > NOW:
        return False
    if grant.expires_at is not None and grant.expires_at <= NOW:
        return False
    if scope.project_id is not None and scope.project_id != origin.project_id:
        return False
    if scope.gpu_type is not None:
        return scope.gpu_type == origin.gpu_type
    return origin.meter == TOKENS or origin.base_rate


@given(GRANTS, ASKED, ORIGINS)
def test_draws_and_shortfall_are_what_was_asked(grants, asked, origin):
    result = burn_down(grants, asked, origin=origin, moment=NOW)
    assert sum(draw.quantity for draw in result.draws) + result.shortfall == asked


@given(GRANTS, ASKED, ORIGINS)
def test_there_is_a_shortfall_only_where_the_usable_grants_do_not_suffice(grants, asked, origin):
    usable = sum(grant.remaining for grant in grants if is_usable(grant, origin))
    assert burn_down(grants, asked, origin=origin, moment=NOW).shortfall == max(0, asked - usable)


@given(GRANTS, ASKED, ORIGINS)
def test_no_grant_pays_more_than_it_has_and_none_out_of_scope_or_term_pays(grants, asked, origin):
    by_id = {grant.id: grant for grant in grants}
    draws = burn_down(grants, asked, origin=origin, moment=NOW).draws
    assert len({draw.grant_id for draw in draws}) == len(draws)
    for draw in draws:
        grant = by_id[draw.grant_id]
        assert is_usable(grant, origin)
        assert 0 < draw.quantity <= grant.remaining
        assert draw.unit_price == grant.unit_price


@given(GRANTS, ASKED, ORIGINS)
def test_all_but_the_last_grant_that_pays_are_emptied(grants, asked, origin):
    by_id = {grant.id: grant for grant in grants}
    draws = burn_down(grants, asked, origin=origin, moment=NOW).draws
    assert all(draw.quantity == by_id[draw.grant_id].remaining for draw in draws[:-1])


@given(GRANTS, ASKED, ORIGINS)
def test_a_grant_pays_only_once_all_before_it_in_the_order_are_empty(grants, asked, origin):
    draws = burn_down(grants, asked, origin=origin, moment=NOW).draws
    usable = [grant.id for grant in sorted(grants, key=order_of_deduction) if is_usable(grant, origin)]
    assert [draw.grant_id for draw in draws] == usable[: len(draws)]


@given(GRANTS, ASKED, ORIGINS, st.randoms())
def test_the_order_in_which_grants_are_given_does_not_matter(grants, asked, origin, random):
    shuffled = random.sample(grants, len(grants))
    given_as = burn_down(grants, asked, origin=origin, moment=NOW)
    assert burn_down(shuffled, asked, origin=origin, moment=NOW) == given_as


def drain(grants, usages):
    """Burn usages one after the other; returns what is left of each grant, and what none paid."""
    left, unpaid = {grant.id: grant for grant in grants}, 0
    for quantity, origin, moment in usages:
        result = burn_down(left.values(), quantity, origin=origin, moment=moment)
        for draw in result.draws:
            grant = left[draw.grant_id]
            left[grant.id] = Grant(**{**vars(grant), "remaining": grant.remaining - draw.quantity})
        unpaid += result.shortfall
    return {key: grant.remaining for key, grant in left.items()}, unpaid


@given(GRANTS, st.lists(st.integers(0, 400), max_size=6), ORIGINS, st.randoms())
def test_order_and_batching_of_usage_of_one_origin_change_nothing(grants, parts, origin, random):
    """As long as no grant begins or expires in between: then what each grant pays is settled by the sum alone."""
    usages = [(part, origin, NOW + timedelta(hours=number)) for number, part in enumerate(parts)]
    whole = drain(grants, [(sum(parts), origin, NOW)])
    assert drain(grants, usages) == whole
    assert drain(grants, random.sample(usages, len(usages))) == whole


def test_order_of_arrival_changes_nothing_where_scopes_lie_within_each_other():
    grants = [grant_of("all", 100), grant_of("a", 30, scope=GrantScope(project_id="prj_a"))]
    usages = [(40, PLAIN, NOW), (50, UsageOrigin(HOURS, "prj_b"), NOW), (20, UsageOrigin(HOURS), NOW)]
    outcomes = [drain(grants, order) for order in permutations(usages)]
    assert outcomes == [({"all": 20, "a": 0}, 0)] * 6


NARROW, BY_PROJECT, BY_TYPE = (
    GrantScope(project_id="prj_a", gpu_type="rtx-4090"),
    GrantScope(project_id="prj_a"),
    GrantScope(gpu_type="rtx-4090"),
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"priority": -1}, {"scope": NARROW}),
        ({"scope": NARROW}, {"scope": BY_PROJECT, "kind": GrantKind.PROMOTIONAL}),
        ({"scope": BY_PROJECT}, {"scope": BY_TYPE}),
        ({"scope": BY_TYPE}, {"kind": GrantKind.PROMOTIONAL, "expires_in_days": 1}),
        ({"kind": GrantKind.PROMOTIONAL}, {"expires_in_days": 1}),
        ({"kind": GrantKind.COMPENSATION}, {"expires_in_days": 1}),
        ({"kind": GrantKind.COMPENSATION, "expires_in_days": 1}, {"kind": GrantKind.PROMOTIONAL}),
        ({"expires_in_days": 1, "price": "6.8"}, {"expires_in_days": 2, "price": "4.0", "began_days_ago": 99}),
        ({"expires_in_days": 900}, {"expires_in_days": None}),
        ({"began_days_ago": 9, "grant_id": "z", "price": "6.8"}, {"began_days_ago": 8, "grant_id": "a"}),
        ({"grant_id": "a"}, {"grant_id": "b"}),
    ],
)
def test_the_order_is_priority_scope_gift_expiry_age_id(first, second):
    first, second = grant_of(**{"grant_id": "first", **first}), grant_of(**{"grant_id": "second", **second})
    assert burn_down([second, first], 1, origin=PLAIN, moment=NOW).draws == (Draw(first.id, 1, first.unit_price),)


def test_a_grant_is_gone_at_the_moment_it_expires():
    assert burn_down([grant_of(expires_in_days=0)], 5, origin=PLAIN, moment=NOW) == BurnDown((), shortfall=5)


def test_a_grant_pays_from_its_first_moment_on_and_never_for_what_was_before():
    grants = [grant_of(began_days_ago=0)]
    assert burn_down(grants, 5, origin=PLAIN, moment=NOW).shortfall == 0
    assert burn_down(grants, 5, origin=PLAIN, moment=NOW - timedelta(microseconds=1)).shortfall == 5


def test_a_gpu_type_with_a_multiplier_is_paid_only_by_a_grant_that_names_it():
    dear = UsageOrigin(HOURS, "prj_a", "a100-80g", base_rate=False)
    grants = [grant_of("all"), grant_of("named", scope=GrantScope(gpu_type="a100-80g"))]
    assert [draw.grant_id for draw in burn_down(grants, 150, origin=dear, moment=NOW).draws] == ["named"]


def test_tokens_are_paid_by_grants_of_tokens_whatever_the_device_costs():
    origin = UsageOrigin(TOKENS, None, "a100-80g", base_rate=False)
    grants = [grant_of("hours"), grant_of("text", 7, scope=GrantScope(TOKENS))]
    assert burn_down(grants, 10, origin=origin, moment=NOW) == BurnDown((Draw("text", 7, Decimal("5.2")),), 3)


def test_a_draw_runs_over_into_the_next_grant():
    grants = [grant_of("a", 60, "5.2"), grant_of("b", 100, "5.5")]
    assert burn_down(grants, 100, origin=PLAIN, moment=NOW) == BurnDown(
        (Draw("a", 60, Decimal("5.2")), Draw("b", 40, Decimal("5.5"))), shortfall=0
    )


def test_a_negative_draw_is_refused():
    with pytest.raises(ValueError, match="-1"):
        burn_down([grant_of()], -1, origin=PLAIN, moment=NOW)


@pytest.mark.parametrize(
    ("begins", "zone", "months", "expires"),
    [
        ("2026-11-10T12:00", "Asia/Shanghai", 12, "2027-11-10T12:00"),
        ("2028-02-29T00:00", "Asia/Shanghai", 12, "2029-02-28T00:00"),
        ("2027-02-28T23:59", "UTC", 12, "2028-02-28T23:59"),
        ("2026-12-31T08:30", "UTC", 2, "2027-02-28T08:30"),
        ("2026-03-28T02:30", "Europe/Berlin", 12, "2027-03-28T03:30"),  # 02:30 is left out on that day
        ("2026-10-25T01:00", "Europe/Berlin", 1, "2026-11-25T01:00"),
    ],
)
def test_a_grant_lasts_for_calendar_months_of_its_contracts_time_zone(begins, zone, months, expires):
    moment = datetime.fromisoformat(begins).replace(tzinfo=ZoneInfo(zone))
    expiry = compute_expiry(moment.astimezone(UTC), zone, months)
    assert expiry.tzinfo is UTC
    assert expiry.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="minutes") == expires


@given(st.integers(0, 600_000).map(lambda hours: NOW + timedelta(hours=hours)), st.integers(0, 40))
def test_a_longer_term_never_ends_earlier(begins, months):
    expiries = [compute_expiry(begins, "Asia/Shanghai", count) for count in (months, months + 1, months + 12)]
    assert all(earlier < later for earlier, later in pairwise(expiries))
