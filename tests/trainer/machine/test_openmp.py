"""How torch's threads wait: as we choose, unless the user has."""

import pytest

from trainer.machine.openmp import SPINS_BEFORE_SLEEP, set_waiting


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"GOMP_SPINCOUNT": SPINS_BEFORE_SLEEP}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
    ids=["unset", "spins set", "policy set"],
)
def test_the_users_own_choice_stays(before, after) -> None:
    set_waiting(before)
    assert before == after
