"""The messages to PostgreSQL that something takes: what it costs, whatever the machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from broker.persistence import driver


@contextmanager
def listing_messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """List the messages to PostgreSQL for as long as the block lasts."""
    messages: list[str] = []
    execute, send = psycopg.AsyncCursor.execute, driver.send_message

    async def note(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        messages.append(query.decode() if isinstance(query, bytes) else str(query))
        return await execute(cursor, query, *arguments, **options)

    async def note_script(connection: Any, script: bytes) -> Any:
        messages.append(script.decode())
        return await send(connection, script)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncCursor, "execute", note)
        patched.setattr(driver, "send_message", note_script)
        yield messages
