"""What is captured above a hold extends it first, in a transfer of its own; what is borne was never to be held."""

import pytest
from sqlalchemy import select

from broker.ledger.tables import Transfer
from broker.system import System
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import broken_rules, report_usage, start_job


@pytest.mark.parametrize(
    ("gpu_seconds", "fields", "kinds"),
    [
        (60, {}, ["usage_captured"]),
        (61, {}, ["hold_extended", "usage_captured"]),
        (61, {"limit_gpu_seconds": 60}, ["usage_captured"]),
    ],
)
async def test_capture_above_a_hold_is_an_explicit_extension(
    api: Api, system: System, gpu_seconds: int, fields: dict[str, int], kinds: list[str]
) -> None:
    job = await start_job(system, await make_ready_customer(api), gpu_seconds=60, tokens=0, **fields)
    await report_usage(system, job, gpu_seconds=gpu_seconds)
    async with system.work() as work:
        reported = select(Transfer.kind).where(Transfer.reference == f"{job.run_id}/0").order_by(Transfer.kind)
        assert list(await work.session.scalars(reported)) == kinds
    assert await broken_rules(system) == {}
