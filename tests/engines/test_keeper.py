"""What a test starts does not outlive it, however it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

DEADLINE_SECONDS = 120
TESTS = """
import time
from pathlib import Path
from tests.engines.keeper import keeper
with keeper() as kept:
    server = kept.start(["sh", "-c", "setsid sleep 300 & echo $!; sleep 300"], Path({output!r}))
    time.sleep(300)
"""


DAEMON = """
import subprocess, time
from pathlib import Path
subprocess.run(["sh", "-c", "setsid sleep 300 & echo $! > $0", {output!r}])
time.sleep({seconds})
raise SystemExit(3)
"""


def start_kept(output: Path, seconds: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start a kept program that starts a daemon; returns what keeps it, and the daemon's process id."""
    program = DAEMON.format(output=str(output), seconds=seconds)
    kept = subprocess.Popen((sys.executable, "-m", "tests.engines.keeper", sys.executable, "-c", program))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (output.exists() and output.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return kept, int(output.read_text())


def await_death(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_daemons_of_a_kept_command_are_dead_once_it_ends_and_its_exit_code_is_handed_on(tmp_path: Path) -> None:
    kept, daemon = start_kept(tmp_path / "out", seconds=0)
    assert kept.wait(DEADLINE_SECONDS) == 3
    await_death(daemon)


def test_daemons_of_a_kept_command_are_dead_once_their_keepers_own_parent_was_killed(tmp_path: Path) -> None:
    """A past fault: brokers and databases of the tests ran on where pytest was killed."""
    kept, daemon = start_kept(tmp_path / "out", seconds=300)
    kept.kill()
    kept.wait(DEADLINE_SECONDS)
    await_death(daemon)


def test_servers_and_their_daemons_are_dead_once_the_tests_were_killed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    tests = subprocess.Popen((sys.executable, "-c", TESTS.format(output=str(output))))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (output.exists() and output.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    daemon = int(output.read_text())
    assert psutil.pid_exists(daemon)
    tests.send_signal(signal.SIGKILL)
    tests.wait(DEADLINE_SECONDS)
    await_death(daemon)
