"""How many jobs of `/bin/true` a second start on 64 pretended GPUs and are seen to their end, with money on the books.

Ours as in `bench_dispatch`, but each run is a process that the engine of one machine starts in a folder of its own, and
whose end it sees. Beside it a real Slurm of two nodes, which must be slower, and HyperQueue, which keeps neither books
nor its queue on a disk. Without Slurm on this machine its row is left out, with a word.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.dispatch.clusters import measure_hyperqueue, measure_slurm
from benchmarks.dispatch.ours import empty_queue, fill_queue, open_broker
from benchmarks.dispatch.process_engine import ProcessEngine
from benchmarks.row import Row
from broker.persistence.embedded import EmbeddedServer, start_embedded_server
from tests.engines.slurm_cluster import list_missing

JOBS, GPUS = 1_000, 64
NAME = f"{JOBS:,} jobs of /bin/true over {GPUS} pretended GPUs"
# Beside ours for comparison: it starts processes, and remembers nothing.
HYPERQUEUE_SHARE = 0.1


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ours = measure_ours(folder / "ours")
        rows = [_row(ours, "HyperQueue", measure_hyperqueue(gpus=GPUS, jobs=JOBS), HYPERQUEUE_SHARE)]
        if missing := list_missing():
            sys.stderr.write(f"{NAME}: Slurm is not installed here ({', '.join(missing)}); its row is left out\n")
            return rows
        return [_row(ours, "Slurm", measure_slurm(_make(folder / "slurm"), gpus=GPUS, jobs=JOBS), 1.0), *rows]


def _row(ours: float, peer: str, theirs: float, bar: float) -> Row:
    return Row(NAME, "1/s", ours, peer, theirs, bar, better="higher")


def _make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def measure_ours(folder: Path) -> float:
    server = start_embedded_server(folder)
    try:
        return asyncio.run(_dispatch(server, folder))
    finally:
        server.stop()


async def _dispatch(server: EmbeddedServer, folder: Path) -> float:
    async with open_broker(server, folder, slots=GPUS, jobs=JOBS, kind=ProcessEngine) as (system, daemon):
        await fill_queue(system, JOBS)
        return await empty_queue(system, daemon)
