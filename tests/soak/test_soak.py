"""A bounded part of each proof in docs/reliability.md: the same code, smaller, in about a minute for all of them."""

import os
import time

import pytest

from broker.persistence.embedded import EmbeddedServer
from tests.soak.admissions import prove_admissions
from tests.soak.crash_points import prove_crash_points
from tests.soak.fuzz import prove_fuzz
from tests.soak.soak import SoakPlan, run_soak
from tests.soak.traffic import READS

SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))


@pytest.mark.slow  # eleven processes, some of which are killed and started again
def test_everything_at_once_is_killed_and_nothing_is_lost_or_billed_twice() -> None:
    plan = SoakPlan(
        10, SEED, kills=3, stands_still=True, most_open=2, pace_seconds=2.0, roles=(READS[SEED % len(READS)],)
    )
    figures = run_soak(plan)
    assert figures["kills"] == 3
    assert figures["runs"]["succeeded"] > 0
    assert figures["webhooks"]["received"] > 0


@pytest.mark.slow  # a served broker
def test_balances_that_cover_a_tenth_admit_a_tenth() -> None:
    figures = prove_admissions(SEED, 400)
    assert (figures["admitted"], figures["oversold"]) == (40, 0)


@pytest.mark.slow  # as many processes as deaths
def test_a_step_that_died_anywhere_is_done_once_by_the_next_process(server: EmbeddedServer) -> None:
    figures = prove_crash_points(SEED, 25, server)
    assert figures["deaths"] >= 25


def test_odd_inputs_get_clear_errors(server: EmbeddedServer) -> None:
    figures = prove_fuzz(SEED, 40, server)
    assert figures["inputs"] == 40
