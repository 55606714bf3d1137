"""Doing at the start of a process what its database must answer: one that fails in the midst of it is asked again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from broker.failure_log import describe_failure
from broker.persistence.faults import PASSING, find_fault

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2
Answer = TypeVar("Answer")


async def outlast(act: Callable[[], Awaitable[Answer]]) -> Answer:
    """Act, as often as it takes while the database is away or busy; returns what it returns. Raises: whatever else."""
    while True:
        try:
            return await act()
        except Exception as error:
            if not is_passing(error):
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def is_passing(error: Exception) -> bool:
    """Tell whether the same may work in a moment, and say so in the log if it may."""
    if find_fault(error) not in PASSING:
        return False
    log.warning("the database failed as we started, which is tried again: %s", describe_failure(error))
    return True
