"""What an answer takes: the processor time of the program that answers and of its database, and its statements."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

STATEMENT = re.compile(r"\[(\d+)\] LOG:  (?:statement|execute [^:]+): (.*)")


@dataclass(frozen=True)
class Program:
    """A program by its first process; what its children take counts, too."""

    pid: int

    def read_seconds(self) -> float:
        """Read the processor time that its processes have taken so far, those that have ended, too."""
        first = psutil.Process(self.pid)
        return sum(_read_seconds(process) for process in [first, *first.children(recursive=True)])


def _read_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # Its own, and that of its children that have ended: PostgreSQL ends a process with its connection.
    return float(times.user + times.system + times.children_user + times.children_system)


@dataclass(frozen=True)
class Effort:
    """Processor time of one answer. Units: milliseconds."""

    program_ms: float
    database_ms: float

    @property
    def ms(self) -> float:
        return self.program_ms + self.database_ms


@dataclass(frozen=True)
class Meter:
    """The processor time of a program and its database from now on."""

    program: Program
    database: Program
    begun: tuple[float, float]

    @classmethod
    def start(cls, program: Program, database: Program) -> "Meter":
        return cls(program, database, (program.read_seconds(), database.read_seconds()))

    def read(self, answers: int) -> Effort:
        """Read what each of so many answers took."""
        program, database = self.program.read_seconds() - self.begun[0], self.database.read_seconds() - self.begun[1]
        return Effort(1000 * program / answers, 1000 * database / answers)


def count_statements(database_url: str, log: Path, act: Callable[[], object]) -> int:
    """Count the messages that tenants' transactions send to PostgreSQL while something is done, BEGIN and COMMIT, too.

    A script of several statements is one message. What the broker does in the background is not counted.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        _log_statements(connection, "all")
        begun = log.stat().st_size
        act()
        _log_statements(connection, "none")
    with log.open(encoding="utf-8", errors="replace") as lines:
        lines.seek(begun)
        return count_tenants_statements(lines.read())


def count_tenants_statements(log: str) -> int:
    """Count the statements in a log from each BEGIN with a tenant's scope to the COMMIT of the same session."""
    inside: set[str] = set()
    count = 0
    for session, statement in STATEMENT.findall(log):
        if statement.startswith("BEGIN") and "TO 'tenant" in statement:
            inside.add(session)
        count += session in inside
        if statement.upper().startswith("COMMIT"):
            inside.discard(session)
    return count


def _log_statements(connection: psycopg.Connection[tuple[object, ...]], which: str) -> None:
    connection.execute(f"ALTER SYSTEM SET log_statement = '{which}'")
    connection.execute("SELECT pg_reload_conf()")
    connection.execute("SELECT pg_sleep(0.3)")
