"""Keeps the servers of a test: all that they start, daemons too, ends with the test process, however that ends.

A process of its own is their parent, and takes over whatever they leave behind (a subreaper). It starts what it is told
on its standard input; at the end of that, which comes also where the test process is killed, it kills all of them.

    python -m tests.engines.keeper COMMAND…    has one keep a whole command, such as pytest, in the same way: brokers,
                                               their database and what they run, whoever of them is killed.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SET_CHILD_SUBREAPER = 36  # of prctl(2)
KEEP_ONE = "--one"
EXIT_KILLED = 137
HANDED_ON = signal.SIGINT, signal.SIGTERM


@dataclass
class Keeper:
    """The keeper, seen from the test."""

    process: subprocess.Popen[str]

    def start(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str] = os.environ
    ) -> psutil.Process:
        """Start a server; what it prints goes to a file."""
        order = {"command": list(command), "output": str(output), "environment": dict(environment)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return psutil.Process(int(self.process.stdout.readline()))


@contextmanager
def keeper() -> Iterator[Keeper]:
    """Start a keeper; all that it has started is dead when the block ends."""
    command = (sys.executable, __file__)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield Keeper(process)


def run_kept(command: Sequence[str]) -> int:
    """Run a command until it ends, and return its exit code; whatever it has started is dead then.

    So it is where we are killed: the keeper, in a session of its own, sees the end of its standard input.
    """
    keeping = (sys.executable, __file__, KEEP_ONE, *command)
    with subprocess.Popen(keeping, stdin=subprocess.PIPE, start_new_session=True) as process:
        for number in HANDED_ON:
            signal.signal(number, lambda number, _frame: process.send_signal(number))
        return process.wait()


def keep_one(command: Sequence[str]) -> int:
    """Run a command, hand our signals on to it, and kill what it leaves; or all, where standard input ends first."""
    become_subreaper()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    for number in HANDED_ON:
        signal.signal(number, lambda number, _frame: process.send_signal(number))
    threading.Thread(target=kill_at_the_end, daemon=True).start()
    ended, status = 0, 0
    with suppress(ChildProcessError):  # standard input has ended, and all are dead
        while ended != process.pid:  # others were left to us
            ended, status = os.wait()
    kill_descendants()
    return os.waitstatus_to_exitcode(status) % 256 if ended == process.pid else EXIT_KILLED


def kill_at_the_end() -> None:
    sys.stdin.read()
    kill_descendants()


def become_subreaper() -> None:
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def keep() -> None:
    """Start what standard input tells, and kill all of it, and its descendants, at the end."""
    become_subreaper()
    signal.signal(signal.SIGCHLD, reap)
    try:
        for line in sys.stdin:
            order = json.loads(line)
            with Path(order["output"]).open("ab") as output:
                started = subprocess.Popen(
                    order["command"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=order["environment"]
                )
            sys.stdout.write(f"{started.pid}\n")
            sys.stdout.flush()
    finally:
        kill_descendants()


def reap(*_: object) -> None:
    """Reap every child that has ended: nobody else waits for what was left to us."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue


def kill_descendants() -> None:
    while left := psutil.Process().children(recursive=True):
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        reap()
        time.sleep(0.05)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            keep()
        case [option, *command] if option == KEEP_ONE:
            sys.exit(keep_one(command))
        case command:
            sys.exit(run_kept(command))
