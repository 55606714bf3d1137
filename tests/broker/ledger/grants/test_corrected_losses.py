"""What corrections take off losses is shared out among the compensations that these came back as."""

from datetime import datetime, timedelta

import pytest

from broker.contracts.terms.model import GrantTerms
from broker.ledger.grants.corrected_losses import CorrectedLoss, share_out
from tests.broker.conftest import START
from tests.broker.ledger.holding.test_usage_prices import make_grant


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def compensation(grant_id: str, made_at: int, of: str = "gra_1") -> GrantTerms:
    return make_grant(grant_id, compensates_id=of, created_at=at(made_at))


def taken_off(quantity: int, lost_at: int, corrected_at: int, of: str = "gra_1") -> CorrectedLoss:
    return CorrectedLoss(of, quantity, at(lost_at), at(corrected_at))


@pytest.mark.parametrize(
    ("corrected", "never_used"),
    [
        ([], {}),
        ([taken_off(7, 1, 9)], {"gra_c1": 7}),
        ([taken_off(7, 1, 9), taken_off(5, 1, 9)], {"gra_c1": 12}),
        ([taken_off(7, 3, 9)], {"gra_c2": 7}),  # lost after the first compensation
        ([taken_off(7, 1, 9), taken_off(5, 3, 9)], {"gra_c1": 7, "gra_c2": 5}),
        ([taken_off(7, 2, 2)], {"gra_c1": 7}),  # at one moment
        ([taken_off(7, 0, 1)], {}),  # before anything was compensated
        ([taken_off(7, 5, 9)], {}),  # lost after the last compensation
        ([taken_off(7, 1, 9, of="gra_2")], {"gra_c3": 7}),
        ([taken_off(7, 1, 9, of="gra_4")], {}),
    ],
)
def test_each_is_of_the_first_compensation_between_loss_and_correction(
    corrected: list[CorrectedLoss], never_used: dict[str, int]
) -> None:
    made = [compensation("gra_c1", 2), compensation("gra_c3", 3, of="gra_2"), compensation("gra_c2", 4)]
    assert share_out(corrected, made) == never_used
