"""What contracts used lately: older usage counts less, and all of it counts."""

from datetime import datetime, timedelta

import pytest

from broker.metering.reading.decayed import add_up_decayed
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.rows import owner_connection

HOUR = timedelta(hours=1)


async def use(urls: DatabaseUrls, customer: Customer, gpu_seconds: int, *hours: datetime) -> None:
    with owner_connection(urls) as connection:
        for hour in hours:
            connection.execute(
                "INSERT INTO usage_rollups (hour, contract_id, project_id, job_id, source, gpu_type, labels,"
                " customer_id, gpu_seconds, tokens, events) VALUES (%s, %s, '', '', 'x', '', '{}', %s, %s, 0, 1)",
                [hour, customer.contract["id"], customer.id, gpu_seconds],
            )


@pytest.mark.parametrize(("ages", "micros"), [(range(1, 2), 4_000_000), (range(1, 4), 7_000_000), ([11], 0)])
async def test_usage_counts_half_after_each_half_life_and_nothing_after_ten(
    api: Api, system: System, urls: DatabaseUrls, clock: ManualClock, ages: range, micros: int
) -> None:
    customer = await make_ready_customer(api)
    await use(urls, customer, 8, *(clock.now - age * HOUR for age in ages))
    async with system.work() as work:
        assert sum((await add_up_decayed(work, HOUR)).values()) == micros


async def test_tiny_usage_accumulates(api: Api, system: System, urls: DatabaseUrls, clock: ManualClock) -> None:
    """kueue#13621: usage below the smallest unit was rounded away at every step, and a tenant ran for nothing."""
    customer = await make_ready_customer(api)
    long_ago = clock.now - 9 * timedelta(days=7)
    await use(urls, customer, 1, *(long_ago + number * timedelta(seconds=1) for number in range(1000)))
    async with system.work() as work:
        (used,) = (await add_up_decayed(work, timedelta(days=7))).values()
    assert used == pytest.approx(1000 * 10**6 / 2**9, rel=0.001)
