"""Files without a name that a test has left open: uploads, archives that are unpacked, whatever is aside for a moment.

Python closes them when it collects its garbage, and warns then, in the middle of another test: which had left them,
nobody could tell. This says so at the end of that test.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

OPEN = Path("/proc/self/fd")
GONE = " (deleted)"


def list_nameless() -> dict[str, str]:
    """List the open files of this process that have no name any more; none where the system does not tell.

    Each test is looked at twice: `pathlib` would take four times as long.
    """
    found = {}
    for number in os.listdir(OPEN) if OPEN.is_dir() else ():  # noqa: PTH208
        try:
            file = os.readlink(f"{OPEN}/{number}")  # noqa: PTH115
        except OSError:  # what has listed them
            continue
        if file.endswith(GONE):
            found[number] = file
    return found


class NamelessFiles:
    """Fails each test that leaves one open."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        before = list_nameless()
        yield
        left = list_nameless().items() - before.items()
        assert not left, f"left open: {sorted(left)}; who opens a file closes it, whatever happens"
