"""How many holds a second are placed in process: all on one account, and over 1,000 accounts of four customers.

A hold here is what admission places: planned against what a contract has, with its leg, its transfer and the balances
beside it; those of one customer that come together are decided in one batch. The peer is hf-nostro, a ledger for Python
on PostgreSQL, by its `debit`, which has an idempotency key and an entry, too. Each has as many callers and connections,
in one process, on one PostgreSQL with fsync on. What one `UPDATE … RETURNING` reaches by itself is told beside: no
books are kept with less. Afterwards every rule of our ledger holds, and as much is held as was answered.
"""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.holds.ours import OurHolds, count_held, open_contracts
from benchmarks.holds.peers import open_floor, open_nostro
from benchmarks.holds.placing import CALLERS, CONNECTIONS, GPU_SECONDS, Side, take_turns
from benchmarks.row import Row
from broker.config import Settings
from broker.persistence.embedded import EmbeddedServer, start_embedded_server
from broker.processes.boot import DatabaseUrls, migrate_database, prepare
from broker.system import System

CUSTOMERS, ACCOUNTS = 4, 1_000
ONE_SHARE, MANY_SHARE = 2.0, 3.0
PEER = "hf-nostro"


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        server = start_embedded_server(Path(folder))
        try:
            return asyncio.run(measure_sides(server, Path(folder)))
        finally:
            server.stop()


async def measure_sides(server: EmbeddedServer, folder: Path) -> list[Row]:
    migrate_database(urls := DatabaseUrls(server.app_url(), server.owner_url()))
    settings = Settings(_env_file=None, data_dir=folder, local_slots=0, database_pool_size=CONNECTIONS)
    system = await prepare(settings, urls)
    try:
        one = await measure_accounts(system, server, "one", customers=1, accounts=1)
        many = await measure_accounts(system, server, "many", customers=CUSTOMERS, accounts=ACCOUNTS)
        placed = one[0].placed + many[0].placed
        if await count_held(system) != placed * GPU_SECONDS:
            raise RuntimeError(f"{placed} holds were answered, {await count_held(system)} GPU-seconds are held")
    finally:
        await system.database.close()
    return [list_row("one account", one, ONE_SHARE), list_row(f"{ACCOUNTS:,} accounts", many, MANY_SHARE)]


async def measure_accounts(
    system: System, server: EmbeddedServer, name: str, *, customers: int, accounts: int
) -> list[Side]:
    """Measure the three sides in turns: ours, the peer, and the floor."""
    ours = OurHolds(system)
    async with open_nostro(server, f"nostro_{name}") as nostro, open_floor(server, f"floor_{name}") as floor:
        sides = [
            Side(ours.place, await open_contracts(system, customers, accounts // customers)),
            Side(nostro.place, await nostro.open_accounts(customers, accounts // customers)),
            Side(floor.place, await floor.open_accounts(accounts)),
        ]
        await take_turns(sides)
    return sides


def list_row(where: str, sides: list[Side], bar: float) -> Row:
    ours, peer, floor = sides
    told = f"{CALLERS} callers; one UPDATE … RETURNING: {floor.rate:,.0f}/s"
    return Row(f"holds in process on {where} ({told})", "1/s", ours.rate, PEER, peer.rate, bar, better="higher")
