"""Usage is corrected down: it costs what it would have cost had its event said so, and both stay visible."""

import pytest

from broker import errors
from broker.ledger import service as ledger
from broker.system import System
from pricing.usage import Usage
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import HOUR, RunningJob, read_balance, report_usage, start_job


async def correct(system: System, job: RunningJob, taken: Usage) -> ledger.Captured:
    async with system.work() as work:
        return await ledger.correct_usage(work, await ledger.lock_hold(work, job.id), job.run_id, 0, taken)


@pytest.mark.parametrize("tokens", [0, 90])
async def test_event_that_said_too_much_costs_what_the_right_one_would_have(
    api: Api, system: System, tokens: int
) -> None:
    """The job's limit is gone within its GPU-seconds; where it has tokens, it has none."""
    limit = {"limit_micros": 1_000_000} if tokens == 0 else {}
    costs = []
    for reported in (HOUR, 600):
        customer = await make_ready_customer(api, plan="prepaid", monthly_budget="10.00")
        job = await start_job(system, customer, gpu_seconds=HOUR // 2, tokens=100, **limit)
        await report_usage(system, job, gpu_seconds=reported, tokens=tokens)
        if reported == HOUR:
            await correct(system, job, Usage(HOUR - 600, 0))
        balance = await read_balance(system, job.contract_id)
        costs.append((balance.used_gpu_seconds, balance.used_tokens, balance.used_money, balance.budget_left))
    assert costs[0] == costs[1]


@pytest.mark.parametrize("taken", [Usage(-1, 0), Usage(0, -1), Usage(61, 0), Usage(0, 1)])
async def test_absurd_correction_is_refused_and_nothing_is_written(api: Api, system: System, taken: Usage) -> None:
    job = await start_job(system, await make_ready_customer(api))
    await report_usage(system, job, gpu_seconds=60)
    before = await read_balance(system, job.contract_id)
    with pytest.raises(errors.InvalidRequest):
        await correct(system, job, taken)
    assert await read_balance(system, job.contract_id) == before
