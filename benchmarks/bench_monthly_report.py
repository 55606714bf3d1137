"""What the monthly cost report costs: 1,000,000 events over 10,000 contracts, beside one GROUP BY of the same rows.

The peer is the least that anybody could do: the sums of what was captured, by contract, job and meter, in one statement
of the same PostgreSQL. Ours rounds each line as its invoice will, prices it by the list as well, and tells every
contract and project with all that a month may have beside usage, as CSV. `MONTH_REPORT_CONTRACTS` sets another size.
"""

import asyncio
import os
import time

from benchmarks.bench_month_close import group_rows
from benchmarks.month_data import EVENTS, MONTH, Month, open_month
from benchmarks.row import Row
from broker.reports.costs.report import CostQuestion, report_monthly_cost
from broker.reports.costs.schemas import tabulate_costs
from broker.reports.report_files import write_csv

CONTRACTS = int(os.environ.get("MONTH_REPORT_CONTRACTS", "10000"))
PEER = "GROUP BY by contract, job and meter"


def measure() -> list[Row]:
    return asyncio.run(measure_report(CONTRACTS))


async def measure_report(contracts: int) -> list[Row]:
    """Report a month of so many contracts, and group its rows; the best of three each."""
    async with open_month(contracts) as month:
        peer = min([group_rows(month.owner_url) for _ in range(3)])
        ours = min([await report(month, contracts) for _ in range(3)])
    name = f"monthly cost report as CSV, {contracts * EVENTS:,} events over {contracts:,} contracts"
    return [Row(name, "s", ours, PEER, peer, bar=3)]


async def report(month: Month, contracts: int) -> float:
    """Make the report and write all of it. Raises: RuntimeError, where a contract is not in it."""
    begun = time.perf_counter()
    async with month.system.work() as work:
        found = await report_monthly_cost(work, CostQuestion(MONTH))
    written = sum(len(piece) for piece in write_csv(tabulate_costs(found)))
    taken = time.perf_counter() - begun
    if len(found.rows) != contracts or not written:
        raise RuntimeError(f"{len(found.rows)} rows of {contracts} contracts")
    return taken
