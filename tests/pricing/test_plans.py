import pytest

from pricing.plans import CommitmentNotAllowed, CommitmentTooSmall, PlanName, check_commitment
from pricing.rate_card import load_rate_cards

CARD = load_rate_cards()["2026-01-01"]


@pytest.mark.parametrize(
    ("plan", "hours"),
    [
        (PlanName.ON_DEMAND, 0),
        (PlanName.PREPAID, 500),
        (PlanName.PREPAID, 501),
        (PlanName.LONG_TERM, 2000),
        (PlanName.LONG_TERM, 20_000),
    ],
)
def test_a_sufficient_commitment_passes(plan, hours):
    check_commitment(CARD.terms(plan), plan, hours)


@pytest.mark.parametrize(
    ("plan", "hours", "minimum"),
    [
        (PlanName.PREPAID, 499, 500),
        (PlanName.PREPAID, 0, 500),
        (PlanName.LONG_TERM, 1999, 2000),
        (PlanName.LONG_TERM, -1, 2000),
    ],
)
def test_a_commitment_below_the_minimum_is_refused(plan, hours, minimum):
    with pytest.raises(CommitmentTooSmall) as caught:
        check_commitment(CARD.terms(plan), plan, hours)
    assert (caught.value.plan, caught.value.committed, caught.value.minimum) == (plan, hours, minimum)


@pytest.mark.parametrize("hours", [1, 500, -1])
def test_on_demand_commits_to_nothing(hours):
    with pytest.raises(CommitmentNotAllowed) as caught:
        check_commitment(CARD.terms(PlanName.ON_DEMAND), PlanName.ON_DEMAND, hours)
    assert caught.value.committed == hours
