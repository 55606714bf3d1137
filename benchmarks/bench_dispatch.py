"""How many queued jobs a second are dispatched, ended and settled over 64 slots, with money on the books.

One broker process plans, applies and relays by its own loops, on an engine whose runs end at once, each with an
interval of usage that is charged and a hold that is settled by a second process: workers report where
`BROKER_WORKER_URL` points. Both run as `broker serve` does. The bar is a share of what PostgreSQL's `pgbench` reaches
with TPC-B in the same run; beside it, what two queues for Python on PostgreSQL do with jobs that cost nothing.
Afterwards every rule of the ledger holds, and each job has run exactly once.
"""

import asyncio
import tempfile
from pathlib import Path

from uvicorn.loops.auto import auto_loop_factory

from benchmarks.bench_admission import TPC_B, measure_tpc_b
from benchmarks.dispatch.ours import empty_queue, fill_queue, open_broker
from benchmarks.dispatch.peers import measure_pgqueuer, measure_procrastinate
from benchmarks.row import Row
from broker.persistence.embedded import EmbeddedServer, start_embedded_server

JOBS, SLOTS = 10_000, 64
TPC_B_SHARE = 0.15
# They are beside ours for comparison: ours decides by price and keeps books, so it need not be ahead of them.
QUEUE_SHARE = 0.1


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        server = start_embedded_server(Path(folder))
        try:
            with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
                ours = runner.run(measure_ours(server, Path(folder)))
            tpc_b = measure_tpc_b(server.owner_url())
            procrastinate = asyncio.run(measure_procrastinate(server, slots=SLOTS, jobs=JOBS))
            pgqueuer = asyncio.run(measure_pgqueuer(server, slots=SLOTS, jobs=JOBS))
        finally:
            server.stop()
    name = f"dispatch of {JOBS:,} queued jobs over {SLOTS} slots, 2 processes: plan, apply, settle"
    return [
        Row(name, "1/s", ours, TPC_B, tpc_b, TPC_B_SHARE, better="higher"),
        Row(name, "1/s", ours, "procrastinate", procrastinate, QUEUE_SHARE, better="higher"),
        Row(name, "1/s", ours, "PGQueuer", pgqueuer, QUEUE_SHARE, better="higher"),
    ]


async def measure_ours(server: EmbeddedServer, folder: Path) -> float:
    async with open_broker(server, folder, slots=SLOTS, jobs=JOBS, reports_elsewhere=True) as (system, daemon):
        await fill_queue(system, JOBS)
        return await empty_queue(system, daemon)
