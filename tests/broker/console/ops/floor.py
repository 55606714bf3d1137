"""A floor for ops' pages: two customers, a pool of one machine that is full, jobs that wait, cycles on record."""

from dataclasses import dataclass
from typing import Any

from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.memory import CycleMemory
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.system import System
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool


@dataclass
class FloorWorld:
    """Who waits and runs: `running` holds the GPU, `waiting` are in the order in which they came."""

    acme: Customer
    beta: Customer
    running: str
    waiting: list[str]


async def make_floor(api: Api, system: System, clock: Any, *, waiting: int = 2) -> FloorWorld:
    """Make one job run and so many wait."""
    acme, beta = await make_ready_customer(api), await make_ready_customer(api)
    memory, recorder = CycleMemory(), CycleRecorder()
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    jobs = []
    for place in range(waiting + 1):
        customer = beta if place % 2 else acme
        clock.advance(seconds=1)
        jobs.append((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])
        async with system.work() as work:
            await run_cycle(work, memory=memory, recorder=recorder)
    clock.advance(seconds=1)
    return FloorWorld(acme, beta, jobs[0], jobs[1:])
