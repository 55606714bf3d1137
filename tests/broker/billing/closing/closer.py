"""A process that closes November on a database, as the daemon does, until it is killed."""

import asyncio
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from broker.billing.closing.driving import run_closings
from broker.config import Settings
from broker.system import open_system

THIRD_OF_DECEMBER = datetime(2026, 12, 3, 1, tzinfo=UTC)


def close_month(url: str, data_dir: Path, starter: Connection) -> None:
    """Close the month, having told who started it that it begins."""
    asyncio.run(close(url, data_dir, starter))


async def close(url: str, data_dir: Path, starter: Connection) -> None:
    system = open_system(Settings(data_dir=data_dir, local_slots=0), url, clock=lambda: THIRD_OF_DECEMBER)
    starter.send("begins")
    await run_closings(system, (), size=1)
