"""The further API processes of `broker serve`: kept up for as long as it runs, and ended with it."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.config import Settings
from broker.failure_log import FailureLog
from broker.processes.child_main import Order
from broker.processes.http_server import LINGER_SECONDS

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 60.0
YOUNG_SECONDS = 30.0
STARTING = "starting an API process"
SPARE_SECONDS = 5.0  # what a process takes to end beyond what its settings say of it


@dataclass(frozen=True)
class FurtherProcesses:
    """The processes that are kept beside this one, each by a task."""

    keeping: Sequence[asyncio.Task[None]]

    def leave(self) -> None:
        """Have all of them leave, and wait for none; those that do already go on with it."""
        for task in self.keeping:
            if not task.cancelling():
                task.cancel()


@asynccontextmanager
async def further_processes(count: int, order: Order) -> AsyncIterator[FurtherProcesses]:
    """Keep so many processes beside this one, for as long as the block lasts."""
    further = FurtherProcesses([asyncio.create_task(_keep_one(order)) for _ in range(count)])
    try:
        yield further
    finally:
        further.leave()
        await asyncio.gather(*further.keeping, return_exceptions=True)


async def _keep_one(order: Order) -> None:
    """Keep one process running: when it dies, another takes its place; one that dies young waits ever longer for it."""
    loop, failures = asyncio.get_running_loop(), FailureLog()
    pause_seconds = RESTART_SECONDS
    while True:
        started_at = loop.time()
        try:
            pid, code = await _run(order)
            log.warning("API process %s ended (exit code %s); starting another", pid, code)
            failures.settle(STARTING)
        except OSError as error:
            failures.note(STARTING, error, expected=True)
        pause_seconds = compute_pause(pause_seconds, lived_seconds=loop.time() - started_at)
        await asyncio.sleep(pause_seconds)


def compute_pause(last_pause_seconds: float, *, lived_seconds: float) -> float:
    """Compute how long to wait before another process is started: at first a second, each time twice as long."""
    if lived_seconds >= YOUNG_SECONDS:
        return RESTART_SECONDS
    return min(2 * last_pause_seconds, LONGEST_RESTART_SECONDS)


async def _run(order: Order) -> tuple[int, int]:
    """Run a process until it ends by itself; returns its pid and exit code. If we are cancelled, end it in order."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "broker.processes.child_main",
        stdin=asyncio.subprocess.PIPE,
        pass_fds=[order.listener],
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(order.model_dump_json().encode() + b"\n")
        return process.pid, await process.wait()
    finally:
        await _end(process, compute_longest_end(order.settings))


def compute_longest_end(settings: Settings) -> float:
    """Compute how many seconds a process may take to answer what it has begun, before it is killed."""
    return settings.leave_seconds + LINGER_SECONDS + settings.shutdown_seconds + SPARE_SECONDS


async def _end(process: asyncio.subprocess.Process, longest_seconds: float) -> None:
    """End a process, and wait until it has answered the requests that it has taken; one that still starts ends at once.

    Its standard input stays open meanwhile: to close it would be a second word to end, and hurry it.
    """
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), longest_seconds)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
