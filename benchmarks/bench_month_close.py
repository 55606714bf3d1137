"""What closing a month costs: 1,000,000 events over 10,000 contracts, beside one GROUP BY of the same rows.

The peer is the least that anybody could do: the sums of what was captured, by contract, job and meter, in one statement
of the same PostgreSQL. Ours takes locks, composes each contract's lines, numbers, books and writes its invoice, closes
its month, and in the end locks the books: what `POST /v1/closings` starts, in the steps of the daemon. A tenth of the
contracts tells how it grows. `MONTH_CLOSE_CONTRACTS` sets another size, for a machine that is busy.
"""

import asyncio
import gc
import os
import time

import psycopg

from benchmarks.month_data import EVENTS, GROUP_BY, MONTH, Month, open_month
from benchmarks.row import Row
from broker.billing.closing.driving import run_closings
from broker.billing.closing.runs import find_last, start_closing
from broker.processes.http_server import YOUNG_OBJECTS

CONTRACTS = int(os.environ.get("MONTH_CLOSE_CONTRACTS", "10000"))
LESS, WARM_UP = 10, 20
PEER, TENTH = "GROUP BY by contract, job and meter", "a tenth of the contracts"


def measure() -> list[Row]:
    usual = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS)  # as in served processes
    try:
        return asyncio.run(measure_closing(CONTRACTS))
    finally:
        gc.set_threshold(*usual)


async def measure_closing(contracts: int) -> list[Row]:
    """Close a tenth of the contracts, and all of them, each in a database of its own."""
    await close_one(WARM_UP)
    gc.freeze()
    fewer, _peer = await close_one(contracts // LESS)
    ours, peer = await close_one(contracts)
    size = f"{contracts * EVENTS:,} events over {contracts:,} contracts"
    return [
        Row(f"month close, {size}", "s", ours, PEER, peer, bar=20),
        Row(f"month close, {size}", "s", ours, TENTH, fewer, bar=11),
    ]


async def close_one(contracts: int) -> tuple[float, float]:
    """Close a month of so many contracts; returns how long that and the GROUP BY took, in seconds."""
    async with open_month(contracts) as month:
        peer = min(group_rows(month.owner_url) for _ in range(3))
        return await close_month(month, contracts), peer


def group_rows(owner_url: str) -> float:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('broker.scope', 'all', false)")
        begun = time.perf_counter()
        connection.execute(GROUP_BY.encode()).fetchall()
        return time.perf_counter() - begun


async def close_month(month: Month, contracts: int) -> float:
    """Close the month by the steps of the daemon. Raises: RuntimeError, where not all of it is final."""
    async with month.system.work() as work:
        await start_closing(work, MONTH, (), ())
    begun = time.perf_counter()
    await run_closings(month.system, ())
    taken = time.perf_counter() - begun
    async with month.system.work() as work:
        closing = await find_last(work, MONTH)
    if closing is None or closing.status != "closed" or closing.invoices_finalized != contracts:
        raise RuntimeError(f"the month is not closed: {closing and (closing.status, closing.refused[:3])}")
    return taken
