"""A process that closes November on a database, as the daemon does, until it is killed: `python -m … URL DATA_DIR`."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from broker.billing.closing.driving import run_closings
from broker.config import Settings
from broker.system import open_system

THIRD_OF_DECEMBER = datetime(2026, 12, 3, 1, tzinfo=UTC)


async def close(url: str, data_dir: Path) -> None:
    system = open_system(Settings(data_dir=data_dir, local_slots=0), url, clock=lambda: THIRD_OF_DECEMBER)
    print("begins", flush=True)  # noqa: T201 (who started it waits for this line)
    await run_closings(system, (), size=1)


if __name__ == "__main__":
    asyncio.run(close(sys.argv[1], Path(sys.argv[2])))
