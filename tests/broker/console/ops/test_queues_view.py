"""A long line is counted by the sums that were read of it, as narrowly as it is shown."""

from datetime import UTC, datetime
from typing import Any

import pytest

from broker.console.ops.queues_view import count_waiting
from broker.jobs.reading.waiting_page import LineFilter
from broker.jobs.reading.waiting_sums import WaitingSum
from broker.operations.claims import Facts
from broker.operations.overview import Overview

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


def add_up(queue: str, reason: str, jobs: int, sku: str | None = "cpu") -> WaitingSum:
    return WaitingSum("cus_1", "con_1", queue, None, False, sku, reason, jobs, jobs, NOW)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 60),
        ({"queue": "standard"}, 30),
        ({"queue": "standard", "reason": "quota"}, 20),
        ({"sku": "cpu", "customer_id": "cus_1"}, 30),
        ({"contract_id": "con_2"}, 0),
    ],
)
def test_the_count_is_that_of_what_is_wanted(wanted: dict[str, Any], count: int) -> None:
    waiting = [
        add_up("standard", "quota", 20),
        add_up("standard", "maintenance", 10),
        add_up("priority", "quota", 30, None),
    ]
    seen = Overview(Facts(NOW, (), {}, (), waiting), [], [], {}, {}, {})
    assert count_waiting(seen, LineFilter(**wanted)) == count
    assert seen.waiting_jobs == 60
