"""Processes that are forked from one that has imported the service already.

Importing it takes most of the time of a start, and a hundred tests start and kill brokers. From then on such a process
is like any other: a session, an environment, files and signals of its own. `ServedBroker(from_nothing=True)`, the
walkthrough and the guides start Python anew, as an operator does.
"""

import atexit
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock
from typing import Any

from broker.cli.main import main

FORKING = get_context("forkserver")
FORKING.set_forkserver_preload(["tests.broker.forked_imports", "tests.broker.forked"])


class ForkedProcess:
    """A process that calls a function: as much of `subprocess.Popen` as tests ask for."""

    def __init__(
        self,
        function: Callable[..., None],
        *arguments: Any,
        environment: Mapping[str, str] = os.environ,
        output: Path | None = None,
        errors: Path | None = None,
    ) -> None:
        """Start it. What it writes is added to `output`, its errors too where they have no file of their own.

        The files are there from the start, so that a reader who is faster than the process finds an empty one.
        """
        files = [None if path is None else str(path) for path in (output, errors or output)]
        for path in (output, errors):
            if path is not None:
                path.touch()
        self.process = FORKING.Process(
            target=call_alone, args=(function, arguments, dict(environment), *files), daemon=True
        )
        self.reading = Lock()
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        """Tell the exit code, which is that of `subprocess.Popen`; None while it runs."""
        with self.reading:  # it can be read once
            return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises: subprocess.TimeoutExpired."""
        wait([self.process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.process), timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def call_alone(
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    output: str | None,
    errors: str | None,
) -> None:
    """Call a function in this process, which has just been forked, as if Python had been started for it."""
    os.setsid()
    for stream, path in ((0, os.devnull), (1, output), (2, errors)):
        if path is not None:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(file, stream)
            os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # found out anew, from this environment
    try:
        function(*arguments)
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves without


def run_broker(*arguments: str) -> None:
    """Run `broker …`."""
    sys.argv = ["broker", *arguments]
    main()
