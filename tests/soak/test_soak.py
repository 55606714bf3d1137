"""A bounded part of each proof in docs/reliability.md: the same code, smaller, in under a minute each."""

import os
import time

import pytest

from tests.soak.admissions import prove_admissions
from tests.soak.crash_points import prove_crash_points
from tests.soak.fuzz import prove_fuzz
from tests.soak.leaders import prove_leaders
from tests.soak.soak import SoakPlan, run_soak
from tests.soak.town import VICTIMS

SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))


@pytest.mark.slow  # eleven processes, each of which is killed and started again
def test_everything_at_once_is_killed_and_nothing_is_lost_or_billed_twice() -> None:
    figures = run_soak(SoakPlan(seconds=20, seed=SEED, kills=len(VICTIMS)))
    assert set(figures["kills_by_victim"]) == set(VICTIMS)
    assert figures["runs"]["succeeded"] > 0
    assert figures["webhooks"]["received"] > 0


@pytest.mark.slow  # a served broker
def test_balances_that_cover_a_tenth_admit_a_tenth() -> None:
    figures = prove_admissions(SEED, 800)
    assert (figures["admitted"], figures["oversold"]) == (80, 0)


@pytest.mark.slow  # as many processes as deaths
def test_a_step_that_died_anywhere_is_done_once_by_the_next_process() -> None:
    figures = prove_crash_points(SEED, 60)
    assert figures["deaths"] >= 60


@pytest.mark.slow  # a lead lasts three seconds
def test_leaders_that_die_or_stand_still_are_followed_and_no_job_starts_twice() -> None:
    figures = prove_leaders(SEED, 3)
    assert figures["changes"] == 3


def test_odd_inputs_get_clear_errors() -> None:
    figures = prove_fuzz(SEED, 60)
    assert figures["inputs"] == 60
