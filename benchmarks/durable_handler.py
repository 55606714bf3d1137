"""The peer of an answer that is durable: an empty FastAPI handler with one INSERT and its commit, and one that reads.

Under the server settings of `broker serve`, on the very PostgreSQL that the broker uses.
python -m benchmarks.durable_handler PORT PROCESSES DATABASE_URL
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI

from benchmarks.effort import Program
from benchmarks.waiting import wait_until_answers
from tests.broker.served import free_port

URL_VARIABLE = "BENCHMARK_DATABASE_URL"
CONNECTIONS = 10  # of one process: as many as `broker serve --workers 2` has
TABLE = "CREATE TABLE IF NOT EXISTS benchmark_answers (id bigserial PRIMARY KEY, body text NOT NULL)"
INSERT = "INSERT INTO benchmark_answers (body) VALUES (%s)"
PAGE = "SELECT id, body FROM benchmark_answers ORDER BY id DESC LIMIT 20"
SELECT = "SELECT body FROM benchmark_answers WHERE id = 1"


@asynccontextmanager
async def connect(app: FastAPI) -> AsyncIterator[None]:
    """Open the connections in autocommit: a statement and its commit are one message."""
    opened = [
        await psycopg.AsyncConnection.connect(os.environ[URL_VARIABLE], autocommit=True) for _ in range(CONNECTIONS)
    ]
    app.state.free = asyncio.LifoQueue()
    for connection in opened:
        app.state.free.put_nowait(connection)
    yield
    for connection in opened:
        await connection.close()


# On a busy machine a process takes longer to start than uvicorn waits before it kills it and starts another.
PATIENCE_SECONDS = 60

app = FastAPI(lifespan=connect)


@app.post("/")
async def keep() -> dict[str, str]:
    connection = await app.state.free.get()
    try:
        await connection.execute(INSERT, ("{}",))
    finally:
        app.state.free.put_nowait(connection)
    return {"status": "ok"}


@app.get("/")
async def look() -> dict[str, Any]:
    connection = await app.state.free.get()
    try:
        row = await (await connection.execute(SELECT)).fetchone()
    finally:
        app.state.free.put_nowait(connection)
    return {"body": row[0]}


@app.get("/rows")
async def list_rows() -> list[dict[str, Any]]:
    connection = await app.state.free.get()
    try:
        rows = await (await connection.execute(PAGE)).fetchall()
    finally:
        app.state.free.put_nowait(connection)
    return [{"id": number, "body": body} for number, body in rows]


@contextmanager
def serve_durable_handler(database_url: str, processes: int) -> Iterator[tuple[int, Program]]:
    """Serve it in so many processes for as long as the block lasts; yields its port and what it takes."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLE)
        for _ in range(20):
            connection.execute(INSERT, ("{}",))
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.durable_handler", str(port), str(processes)]
    process = subprocess.Popen(command, env={**os.environ, URL_VARIABLE: database_url})
    try:
        wait_until_answers(f"http://127.0.0.1:{port}/")
        yield port, Program(process.pid)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    port, processes = (int(argument) for argument in sys.argv[1:3])
    options = {"log_config": None, "access_log": False, "timeout_worker_healthcheck": PATIENCE_SECONDS}
    uvicorn.run("benchmarks.durable_handler:app", port=port, workers=processes, **options)
