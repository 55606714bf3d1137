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
    while psutil.pid_exists(daemon):
        assert time.monotonic() < deadline
        time.sleep(0.05)
