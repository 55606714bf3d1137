"""An agent is known by its data directory, and one process at a time speaks for it."""

import subprocess
import sys
from pathlib import Path

from broker.execution.identity import AgentLock, load_identity, read_boot_id
from broker.ids import new_id

HOLD = """
import sys
from pathlib import Path
from broker.execution.identity import AgentLock
lock = AgentLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_identity_stays_over_restarts_and_differs_between_data_directories(tmp_path: Path) -> None:
    first = load_identity(tmp_path / "a", new_id)
    assert load_identity(tmp_path / "a", new_id) == first
    other = load_identity(tmp_path / "b", new_id)
    assert first.id.startswith("agt_")
    assert (first.id != other.id, first.boot_id) == (True, other.boot_id)
    assert read_boot_id() == first.boot_id


def test_lock_is_one_processs_and_is_free_when_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "agent.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    lock = AgentLock(path)
    assert not lock.acquire()
    holder.kill()
    holder.communicate()
    assert lock.acquire()
    assert lock.acquire(), "whoever has it keeps it"
    other = AgentLock(path)
    assert not other.acquire()
    lock.release()
    assert other.acquire()
    other.release()
