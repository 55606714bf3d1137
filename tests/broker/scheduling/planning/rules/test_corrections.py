from datetime import UTC, datetime, timedelta

import pytest

from broker.scheduling.planning.rules.corrections import correct_end

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("overdue", "ends_in"),
    [(-30, 30), (0, 60), (59, 1), (60, 300), (359, 1), (360, 900), (10**8, 360_000)],
)
def test_run_that_outlives_its_prediction_is_expected_to_end_at_the_next_longer_step(overdue, ends_in):
    assert correct_end(NOW - timedelta(seconds=overdue), NOW) == NOW + timedelta(seconds=ends_in)
