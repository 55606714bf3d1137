"""A database that cannot be used is refused in one line with the cure, before anything is done to it."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from broker.cli.main import app
from broker.persistence.embedded import EmbeddedServer
from broker.persistence.preflight import DatabaseUnusable, Place, check_before_migration, check_schema, look_at
from broker.processes.boot import DatabaseUrls
from tests.broker.databases import drop_database
from tests.broker.forked import ForkedProcess
from tests.broker.forked import run_broker as forked_broker
from tests.broker.rows import owner_connection
from tests.broker.served import free_port

PASSWORD = "s3cret-of-nobody"


@pytest.fixture
def empty(server: EmbeddedServer) -> Iterator[DatabaseUrls]:
    name = f"empty_{secrets.token_hex(4)}"
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    urls = DatabaseUrls(server.app_url(name), server.owner_url(name), are_given=True)
    yield urls
    drop_database(server, urls)


@pytest.fixture
def role(server: EmbeddedServer) -> Iterator[str]:
    """Make a plain role that owns nothing."""
    name = f"role_{secrets.token_hex(4)}"
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN".encode())
        yield name
        connection.execute(f"DROP ROLE {name}".encode())


@dataclass(frozen=True)
class Refused:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def run_process(folder: Path, *arguments: str, **urls: str) -> Refused:
    """Run `broker …` as a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
    output, errors = folder / "output", folder / "errors"
    process = ForkedProcess(
        forked_broker, *arguments, environment=inherited | write_settings(folder, urls), output=output, errors=errors
    )
    return Refused(process.wait(120), output.read_text(), errors.read_text())


def run_broker(folder: Path, *arguments: str, **urls: str) -> Refused:
    """Run `broker …` in this process, which has imported it already."""
    others = {name: None for name in os.environ if name.startswith("BROKER_")}
    done = CliRunner().invoke(app, list(arguments), env=others | write_settings(folder, urls))
    assert isinstance(done.exception, SystemExit | None)
    return Refused(done.exit_code, done.stdout, done.stderr)


def write_settings(folder: Path, urls: dict[str, str]) -> dict[str, str]:
    return {f"BROKER_{name.upper()}": value for name, value in urls.items()} | {"BROKER_DATA_DIR": str(folder)}


def nowhere(user: str = "broker_owner") -> str:
    return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{free_port()}/broker"


def check_one_line(refused: Refused) -> None:
    assert refused.returncode == 2
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("broker: ")]
    assert "no PostgreSQL answers at 127.0.0.1:" in line
    assert "Traceback" not in refused.stderr + refused.stdout
    assert PASSWORD not in refused.stderr + refused.stdout


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("worker",)])
def test_database_that_does_not_answer_is_one_line_for_what_serves(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A past fault: 499 lines of traceback, with the URL in them."""
    owner = nowhere()
    check_one_line(run_process(tmp_path, *arguments, database_url=nowhere("broker_app"), migration_database_url=owner))


@pytest.mark.parametrize("arguments", [("migrate",), ("ledger", "verify"), ("models", "list"), ("admin-key",)])
def test_database_that_does_not_answer_is_one_line_for_every_other_command(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    owner = nowhere()
    check_one_line(run_broker(tmp_path, *arguments, database_url=nowhere("broker_app"), migration_database_url=owner))


@pytest.mark.parametrize(
    "url",
    [
        "localhost:5432/broker",
        f"postgresql://broker_app:{PASSWORD}@[::1/broker",
        f"mysql://broker_app:{PASSWORD}@127.0.0.1/broker",
        f"postgresql://broker_app:{PASSWORD}@127.0.0.1:port/broker",
        f"postgresql://broker_app:{PASSWORD}@127.0.0.1/broker?no_such_option=1",
        "",
    ],
)
def test_url_that_is_none_is_one_line_without_its_password(url: str, tmp_path: Path) -> None:
    refused = run_broker(tmp_path, "migrate", database_url=url, migration_database_url=url)
    assert refused.returncode == 2
    assert refused.stderr.startswith("broker: BROKER_DATABASE_URL: ")
    assert "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert PASSWORD not in refused.stderr


def name_another_user(url: str, user: str) -> str:
    return url.replace("postgres:@", f"{user}@", 1)


def list_tables(urls: DatabaseUrls) -> list[dict[str, object]]:
    with owner_connection(urls) as connection:
        return connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()


def test_owner_that_may_make_no_table_is_refused_before_anything_is_made(
    empty: DatabaseUrls, role: str, tmp_path: Path
) -> None:
    assert empty.owner is not None
    stranger = name_another_user(empty.owner, role)
    refused = run_broker(tmp_path, "migrate", database_url=empty.app, migration_database_url=stranger)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"broker: BROKER_MIGRATION_DATABASE_URL: '{role}' may not make tables")
    assert len(refused.stderr.splitlines()) == 1
    assert list_tables(empty) == []


def test_owner_that_may_not_make_the_extension_is_told_who_does(empty: DatabaseUrls, role: str) -> None:
    with owner_connection(empty) as connection:
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {role}".encode())
        place = Place(str(make_url(empty.owner or "").set(username=role)), "BROKER_MIGRATION_DATABASE_URL")
        with pytest.raises(DatabaseUnusable, match="CREATE EXTENSION btree_gist there first"):
            check_before_migration(place, Place(empty.app))
        connection.execute("CREATE EXTENSION btree_gist")
        check_before_migration(place, Place(empty.app))
        connection.execute(f"DROP OWNED BY {role}".encode())


def test_application_that_would_bypass_row_level_security_is_refused_before_anything_is_made(
    empty: DatabaseUrls, tmp_path: Path
) -> None:
    assert empty.owner is not None
    refused = run_broker(tmp_path, "migrate", database_url=empty.owner, migration_database_url=empty.owner)
    assert refused.returncode == 2
    assert "'postgres' bypasses row-level security" in refused.stderr
    assert list_tables(empty) == []
    absent = name_another_user(empty.owner, "nobody_at_all")
    refused = run_broker(tmp_path, "migrate", database_url=absent, migration_database_url=empty.owner)
    assert "there is no role 'nobody_at_all'" in refused.stderr
    assert list_tables(empty) == []


def test_role_that_does_not_own_the_tables_is_refused(urls: DatabaseUrls, role: str) -> None:
    assert urls.owner is not None
    stranger = Place(name_another_user(urls.owner, role), "BROKER_MIGRATION_DATABASE_URL")
    with pytest.raises(DatabaseUnusable, match="does not own the tables there"):
        check_before_migration(stranger, Place(urls.app, "BROKER_DATABASE_URL"))


def test_database_that_is_not_there_is_refused(server: EmbeddedServer) -> None:
    absent = Place(server.app_url("no_such_database"), "BROKER_DATABASE_URL")
    with pytest.raises(DatabaseUnusable, match='database "no_such_database" does not exist; make it'):
        check_schema(absent)


@pytest.mark.parametrize(
    ("revision", "cure"), [("9999", "does not know; run the newer release"), ("0003", "run `broker migrate`")]
)
def test_schema_of_another_version_is_refused(urls: DatabaseUrls, revision: str, cure: str) -> None:
    app = Place(urls.app, "BROKER_DATABASE_URL")
    check_schema(app)
    with owner_connection(urls) as connection:
        (now,) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])
        try:
            with pytest.raises(DatabaseUnusable, match=cure):
                check_schema(app)
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", [now["version_num"]])


def test_migration_of_a_newer_schema_is_refused(urls: DatabaseUrls, tmp_path: Path) -> None:
    assert urls.owner is not None
    with owner_connection(urls) as connection:
        (now,) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        try:
            refused = run_broker(tmp_path, "migrate", database_url=urls.app, migration_database_url=urls.owner)
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", [now["version_num"]])
    assert refused.returncode == 2
    assert "its schema is at 9999, which this version does not know" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_schema_that_was_never_made_is_refused(empty: DatabaseUrls) -> None:
    with pytest.raises(DatabaseUnusable, match="run `broker migrate`"):
        check_schema(empty.app_place)


def listen_late(port: int, folder: str, seconds: float) -> threading.Thread:
    """Take one connection at a port after a while, and hand it on to the server's socket in a folder."""

    def forward(source: socket.socket, target: socket.socket) -> None:
        while chunk := source.recv(65536):
            target.sendall(chunk)

    def serve() -> None:
        time.sleep(seconds)
        with socket.create_server(("127.0.0.1", port)) as listener, socket.socket(socket.AF_UNIX) as server:
            server.connect(f"{folder}/.s.PGSQL.5432")
            client, _ = listener.accept()
            with client:
                answers = threading.Thread(target=forward, args=(server, client), daemon=True)
                answers.start()
                forward(client, server)
                server.shutdown(socket.SHUT_RDWR)
                answers.join()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_server_that_dies_as_it_is_looked_at_is_waited_for(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was started as PostgreSQL died ended, by a traceback or by a line that blamed the URL."""
    monkeypatch.setattr("broker.persistence.preflight.RETRY_SECONDS", 0.01)
    looked: list[psycopg.Connection] = []

    def die_once(connection: psycopg.Connection) -> None:
        looked.append(connection)
        if len(looked) == 1:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    look_at(urls.app_place, die_once, wait_seconds=60)
    assert len(looked) == 2


@pytest.mark.parametrize(
    "said",
    [
        "the database system is in recovery mode",
        "the database system is shutting down",
        "sorry, too many clients",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute,",
    ],
)
def test_server_that_takes_nobody_at_the_moment_is_waited_for(
    urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr("broker.persistence.preflight.RETRY_SECONDS", 0.01)
    told = psycopg.OperationalError(f'connection to server on socket "/tmp" failed: FATAL:  {said} already')
    refusals, connect = [told], psycopg.connect

    def refuse_once(*arguments: Any, **options: Any) -> psycopg.Connection:
        if refusals:
            raise refusals.pop()
        return connect(*arguments, **options)

    monkeypatch.setattr("broker.persistence.preflight.psycopg.connect", refuse_once)
    check_schema(urls.app_place, wait_seconds=60)
    assert refusals == []


def test_server_that_does_not_answer_yet_is_waited_for(urls: DatabaseUrls) -> None:
    """With docker-compose a migration may come before the database takes connections."""
    parsed = make_url(urls.app)
    port = free_port()
    late = Place(f"postgresql://broker_app@127.0.0.1:{port}/{parsed.database}", "BROKER_DATABASE_URL")
    with pytest.raises(DatabaseUnusable, match="no PostgreSQL answers"):
        check_schema(late)
    serving = listen_late(port, str(parsed.query["host"]), 1.5)
    check_schema(late, wait_seconds=30)
    serving.join()
