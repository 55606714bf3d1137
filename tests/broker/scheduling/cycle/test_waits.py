"""Which waiting jobs are told anew: near the front of a line each change, far behind only what matters there."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.jobs.reading.line import Told
from broker.jobs.reading.queueing import WaitNotice
from broker.scheduling.cycle.waits import list_changed

NOW = datetime(2026, 11, 10, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)


def tell(
    position: int,
    *,
    code: str = "behind_earlier_jobs",
    starts_in: timedelta | None = HOUR,
    latest_in: timedelta = 2 * HOUR,
) -> WaitNotice:
    reason = {"code": code, "message": f"{position - 1} jobs are ahead.", "position": position}
    return WaitNotice("job_1", reason, None if starts_in is None else NOW + starts_in, NOW + latest_in)


def is_told(before: WaitNotice | None, after: WaitNotice) -> bool:
    told = {} if before is None else {"job_1": Told(before.reason, before.expected_start, before.latest_start)}
    return list_changed(told, [after], NOW) == [after]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, tell(2000), True),
        (tell(2), tell(2), False),
        (tell(3), tell(2), True),
        (tell(21), tell(20), True),
        (tell(2000), tell(1990), False),
        (tell(2000), tell(1800), True),
        (tell(2000), tell(2000, code="queue_limit"), True),
        (tell(2000), tell(2000, starts_in=HOUR + timedelta(minutes=2)), False),
        (tell(2000), tell(2000, starts_in=HOUR + timedelta(minutes=4)), True),
        (tell(2), tell(2, starts_in=HOUR + timedelta(seconds=10)), True),
        (tell(2000), tell(2000, starts_in=None), True),
        (tell(2), tell(2, latest_in=3 * HOUR), True),
        (tell(2000), tell(2000, latest_in=2 * HOUR + timedelta(minutes=5)), False),
    ],
)
def test_a_job_is_told_what_matters_at_its_place(before: WaitNotice | None, after: WaitNotice, *, expected: bool):
    assert is_told(before, after) == expected
