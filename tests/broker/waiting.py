"""Waiting for something to come to pass, whatever that takes; what never does fails the test."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

DEADLINE_SECONDS = 30


async def until(is_so: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Wait until something is so, asking often; fail after half a minute."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        answer = is_so()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"it never came to pass: {is_so}")
