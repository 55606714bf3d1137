"""Closing a month by real processes that are killed by SIGKILL at any moment, two of them at once."""

import asyncio
import random

import pytest

from broker.config import Settings
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.billing.closing.closer import close_month
from tests.broker.billing.closing.months import NOVEMBER, list_numbers, make_november
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.forked import FORKING, ForkedProcess
from tests.broker.running_jobs import broken_rules

CUSTOMERS, KILLS, SEED = 6, 4, 16


@pytest.mark.slow
async def test_closers_that_are_killed_and_started_again_make_each_invoice_once(
    api: Api, system: System, clock: ManualClock, urls: DatabaseUrls, settings: Settings
) -> None:
    await make_november(api, system, clock, customers=CUSTOMERS)
    await api.post("/closings", {"month": NOVEMBER}, expect=202)
    chance = random.Random(SEED)
    begun, beginning = FORKING.Pipe(duplex=False)

    def start() -> ForkedProcess:
        return ForkedProcess(close_month, urls.app, settings.data_dir, beginning)

    for _ in range(KILLS):
        closers = [start() for _ in range(2)]
        for _closer in closers:
            assert begun.recv() == "begins"
        await asyncio.sleep(chance.uniform(0, 0.6))
        for closer in closers:
            closer.kill()
            closer.wait()
    assert start().wait() == 0
    closing = await api.get(f"/closings/{NOVEMBER}/progress")
    assert (closing["status"], closing["invoices_finalized"]) == ("closed", CUSTOMERS)
    numbers = sorted(number or "" for number in (await list_numbers(system)).values())
    assert numbers == [f"INV-2026-{count:06d}" for count in range(1, CUSTOMERS + 1)]
    assert await broken_rules(system) == {}
