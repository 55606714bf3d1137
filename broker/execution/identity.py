"""Who an agent is: the same as long as its data directory is, whatever process speaks for it."""

import fcntl
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from broker.execution.files import try_lock
from broker.ids import IdFactory
from broker.private_file import write_private_file

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class AgentIdentity:
    """An agent's id and where it lives. `boot_id` is that of the machine: containers of one machine share it."""

    id: str
    host: str
    boot_id: str
    data_dir: str


def load_identity(data_dir: Path, new_id: IdFactory) -> AgentIdentity:
    """Load the identity of a data directory; where it has none yet, write one."""
    path = data_dir / "agent.id"
    if not path.exists():
        with suppress(FileExistsError):  # another process was quicker: its id is the one
            write_private_file(path, new_id("agt"), replace=False)
    return AgentIdentity(path.read_text().strip(), socket.gethostname(), read_boot_id(), str(data_dir.resolve()))


def read_boot_id() -> str:
    """Read what tells this start of this machine from any other; where the system has none, the time of its start."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return f"{socket.gethostname()}-{psutil.boot_time():.0f}"


@dataclass
class AgentLock:
    """Who holds it speaks for the agent of a data directory. The kernel gives it up however its process ends."""

    path: Path
    file: BinaryIO | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free, or keep it; False while another process has it."""
        if self.file is not None:
            return True
        file = self.path.open("ab")
        if not try_lock(file, fcntl.LOCK_EX):
            file.close()
            return False
        self.file = file
        return True

    def release(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None
