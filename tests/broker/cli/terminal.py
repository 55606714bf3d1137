"""A terminal of 80 columns with a `broker` command in it: what it shows, and what a person types."""

import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from fcntl import ioctl

MOST_SECONDS = 60.0


@dataclass
class Terminal:
    """A command in a terminal; `shown` is all that it has written, without the codes that move and colour."""

    process: subprocess.Popen[bytes]
    leader: int
    raw: bytes = b""

    @classmethod
    def start(cls, arguments: list[str], environment: dict[str, str]) -> "Terminal":
        leader, follower = pty.openpty()
        ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        command = [sys.executable, "-m", "broker.cli.main", *arguments]
        ends = {"stdin": follower, "stdout": follower, "stderr": follower}
        process = subprocess.Popen(command, env={**environment, "TERM": "xterm"}, start_new_session=True, **ends)
        os.close(follower)
        return cls(process, leader)

    @property
    def shown(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw.decode(errors="replace"))

    def wait_for(self, text: str) -> None:
        """Wait until the text is shown."""
        deadline = time.monotonic() + MOST_SECONDS
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())

    def wait(self) -> int:
        """Wait for the end of the command; its exit code."""
        while self._read():
            pass
        os.close(self.leader)
        return self.process.wait(MOST_SECONDS)

    def _read(self) -> bool:
        try:
            part = os.read(self.leader, 4096)
        except OSError:  # the command has closed its end
            return False
        self.raw += part
        return bool(part)
