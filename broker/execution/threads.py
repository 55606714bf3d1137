"""Threads of an engine's own: a command or a folder that hangs there holds up nothing else of the process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")

MOST_THREADS = 16


class EngineThreads:
    """A bounded number of threads; calls beyond it wait for their turn."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="engine")

    async def run(self, call: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Make a call in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *args, **options))

    def close(self) -> None:
        """Begin no further call."""
        self._pool.shutdown(wait=False, cancel_futures=True)
