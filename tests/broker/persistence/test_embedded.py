"""The embedded server starts whatever a killed process, server or machine left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from broker.persistence.embedded import ServerEnding, _forget_dead_processes, _forget_dead_server, start_embedded_server
from tests.conftest import FolderMaker


@pytest.fixture(scope="module")
def data_dir(server_folders: FolderMaker) -> Iterator[Path]:
    """Make one data directory for the module: making one takes seconds."""
    with server_folders() as folder:
        yield folder


def pid_of_server(data_dir: Path) -> int | None:
    pid_file = data_dir / "postgres" / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0]) if pid_file.exists() else None


def query(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_database()").fetchone()
        assert row is not None
        return row[0]


def test_server_starts_serves_and_stops(data_dir: Path) -> None:
    server = start_embedded_server(data_dir)
    assert query(server.owner_url()) == "broker"
    server.stop()
    assert pid_of_server(data_dir) is None
    server.stop()
    assert pid_of_server(data_dir) is None


def test_server_is_shared_and_the_last_to_leave_stops_it(data_dir: Path) -> None:
    server = start_embedded_server(data_dir)
    join = "import sys; from pathlib import Path; from broker.persistence.embedded import start_embedded_server as s; "
    leave = "s(Path(sys.argv[1])).stop()"
    subprocess.run([sys.executable, "-c", join + leave, str(data_dir)], check=True, timeout=120)
    assert query(server.owner_url()) == "broker"
    server.stop()
    assert pid_of_server(data_dir) is None


def test_handle_file_torn_by_a_kill_does_not_keep_the_next_start_from_succeeding(data_dir: Path) -> None:
    (data_dir / "postgres" / ".handle_pids.json").write_text("[12, 3")
    start_embedded_server(data_dir).stop()
    assert pid_of_server(data_dir) is None


def test_killed_server_is_recovered_with_all_that_was_committed(data_dir: Path) -> None:
    server = start_embedded_server(data_dir)
    with psycopg.connect(server.owner_url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    psutil.Process(pid_of_server(data_dir)).kill()
    server = start_embedded_server(data_dir)
    with psycopg.connect(server.owner_url()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)
    server.stop()
    assert pid_of_server(data_dir) is None


def test_stranger_with_the_pid_of_the_last_server_is_not_taken_for_it(data_dir: Path) -> None:
    """After a reboot pids begin anew: another process had it, and the broker could not be started at all."""
    start_embedded_server(data_dir).stop()
    lines = [str(os.getpid()), str(data_dir / "postgres"), "1", "5432", str(data_dir / "postgres"), "", "1 1", "ready"]
    (data_dir / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    server = start_embedded_server(data_dir)
    assert pid_of_server(data_dir) != os.getpid()
    assert query(server.owner_url()) == "broker"
    server.stop()


def test_pid_file_stays_while_backends_of_the_killed_server_still_run(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL reads in it that two servers would write the same files."""
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    backend = psutil.Process(os.getppid())
    monkeypatch.setattr("broker.persistence.embedded._is_of_server", lambda process, _folder: process == backend)
    with pytest.raises(ServerEnding):
        _forget_dead_server(tmp_path)
    assert pid_file.exists()


def test_pid_file_of_a_process_that_is_gone_is_left_to_postgresql(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text(f"{ended.pid}\n")
    _forget_dead_server(tmp_path)
    assert pid_file.exists()


def test_handles_of_ended_processes_and_of_younger_strangers_are_forgotten(tmp_path: Path) -> None:
    handles = tmp_path / ".handle_pids.json"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    handles.write_text(json.dumps([os.getpid(), os.getppid(), ended.pid]))
    _forget_dead_processes(tmp_path)
    assert json.loads(handles.read_text()) == [os.getpid(), os.getppid()]
    os.utime(handles, (0, 0))  # written long before any process of today was started
    _forget_dead_processes(tmp_path)
    assert json.loads(handles.read_text()) == [os.getpid()]
