"""`trainer train --num-processes N`: start N processes of this very command, and end them together.

torch's elastic launcher would not do: on SIGTERM it ends with an exception instead of the processes' exit code, kills
them 30 s later whatever step or checkpoint they are in, and puts each into a session where an engine's signal to the
group of the run does not reach it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from types import FrameType

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0


def launch_processes(count: int, arguments: Sequence[str]) -> int:
    """Run `trainer ARGUMENTS` in `count` processes, and return the first exit code that is not 0.

    A signal is handed on to all of them. Where one fails, the others cannot go on: they are ended.
    """
    port = find_free_port()
    # A session of their own: Ctrl-C of the terminal comes to us alone, and we hand it on once.
    processes = [start_process(rank, count, port, arguments, own_session=True) for rank in range(count)]
    before = {number: signal.signal(number, _hand_on(processes)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return _wait_for_all(processes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        end_all(processes)


def find_free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def describe_meeting(rank: int, count: int, port: int) -> dict[str, str]:
    """Name the variables by which one of `count` processes of this machine finds the others, as torchrun sets them."""
    meeting = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    return {name: str(value) for name, value in meeting.items()}


def start_process(
    rank: int,
    count: int,
    port: int,
    arguments: Sequence[str],
    *,
    own_session: bool = False,
    without: Collection[str] = (),
) -> subprocess.Popen[bytes]:
    """Start `trainer ARGUMENTS` as one of `count` processes, in our environment but for what it is to be `without`."""
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    command = [sys.executable, "-m", "trainer", *arguments]
    environment = inherited | describe_meeting(rank, count, port)
    return subprocess.Popen(command, env=environment, start_new_session=own_session)


def _hand_on(processes: Sequence[subprocess.Popen[bytes]]) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, _frame: FrameType | None) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    return handle


def _wait_for_all(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    while not any(process.poll() for process in processes):
        if all(process.poll() == 0 for process in processes):
            return 0
        time.sleep(POLL_SECONDS)
    _wait(processes, GRACE_SECONDS)  # a stopped run ends in all of them, each with the same code
    return next(code for code in (process.poll() for process in processes) if code)


def _wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))


def end_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Kill what still runs: a process that waits for one that is gone hears no gentler signal."""
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()
