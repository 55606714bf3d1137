"""Measuring a served broker beside the durable handler: the same load, the same PostgreSQL, what each answer took."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.durable_handler import serve_durable_handler
from benchmarks.effort import Effort, Meter, Program
from benchmarks.load import Load, Target, measure_load
from benchmarks.machine import count_cores
from benchmarks.waiting import wait_for_processes
from tests.broker.served import ServedBroker

PROCESSES = count_cores()
# A limit that is kept count of, and that no load reaches.
UNREACHED = {"requests_per_minute": str(10**9)}


@dataclass(frozen=True)
class Measured:
    """A load, and what each of its answers took."""

    load: Load
    effort: Effort


@contextmanager
def serve_broker(**settings: str) -> Iterator[tuple[ServedBroker, Path]]:
    """Serve a broker without an engine in a process for each core; yields it, and a folder for files."""
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        broker = ServedBroker(
            Path(folder) / "var", {**UNREACHED, "local_slots": "0", "workers": str(PROCESSES), **settings}
        )
        try:
            broker.start()
            wait_for_processes(broker, PROCESSES)
            yield broker, Path(folder)
            broker.terminate()
        finally:
            broker.close()


def measure_broker(broker: ServedBroker, targets: Sequence[Target]) -> Measured:
    return _measure(Program(broker.first_process().pid), broker, targets)


def measure_peer(broker: ServedBroker, targets: Sequence[Target], path: str = "/") -> Measured:
    """Measure the durable handler on the database of a broker, under the load that the broker had.

    A GET reads, a row or at `/rows` twenty; a POST writes.
    """
    with serve_durable_handler(broker.database_url(), PROCESSES) as (port, program):
        same = [replace(each, port=port, path=path, status=200, once=False) for each in targets]
        return _measure(program, broker, same)


def _measure(program: Program, broker: ServedBroker, targets: Sequence[Target]) -> Measured:
    postmaster = broker.postmaster()
    assert postmaster is not None, "the broker has a server of its own"
    meter = Meter.start(program, Program(postmaster.pid))
    load = measure_load(targets)
    return Measured(load, meter.read(load.answers + load.warm_up))


def check_ledger(broker: ServedBroker) -> None:
    """Refuse a result whose books are wrong. Raises: RuntimeError."""
    verified = broker.run_cli("ledger", "verify")
    if verified.returncode != 0:
        raise RuntimeError(f"the books are wrong: {verified.stdout}{verified.stderr}")
