"""Closing a month by real processes that are killed by SIGKILL at any moment, two of them at once."""

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

from broker.config import Settings
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.billing.closing.months import NOVEMBER, list_numbers, make_november
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.running_jobs import broken_rules

CUSTOMERS, KILLS, SEED = 6, 4, 16


@pytest.mark.slow
async def test_closers_that_are_killed_and_started_again_make_each_invoice_once(
    api: Api, system: System, clock: ManualClock, urls: DatabaseUrls, settings: Settings
) -> None:
    await make_november(api, system, clock, customers=CUSTOMERS)
    await api.post("/closings", {"month": NOVEMBER}, expect=202)
    chance = random.Random(SEED)
    module = ("-m", "tests.broker.billing.closing.closer", str(urls.app), str(settings.data_dir))
    for _ in range(KILLS):
        closers = [await asyncio.create_subprocess_exec(sys.executable, *module, stdout=PIPE) for _ in range(2)]
        for closer in closers:
            assert closer.stdout is not None
            await closer.stdout.readline()
        await asyncio.sleep(chance.uniform(0, 0.6))
        for closer in closers:
            if closer.returncode is None:
                closer.send_signal(signal.SIGKILL)
            await closer.wait()
    await (await asyncio.create_subprocess_exec(sys.executable, *module)).wait()
    closing = await api.get(f"/closings/{NOVEMBER}/progress")
    assert (closing["status"], closing["invoices_finalized"]) == ("closed", CUSTOMERS)
    numbers = sorted(number or "" for number in (await list_numbers(system)).values())
    assert numbers == [f"INV-2026-{count:06d}" for count in range(1, CUSTOMERS + 1)]
    assert await broken_rules(system) == {}
