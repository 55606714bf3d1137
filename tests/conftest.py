"""What all tests share."""

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.properties import choose_profile

# A shell's background job ignores Ctrl-C, and what the tests start would do so after it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all test files are imported: it would look through what stays a thousand times
    choose_profile(fast=config.getoption("markexpr") == "not slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, and of the others those with many tests.

    Workers take whole files, in this order (`--no-loadscope-reorder`); a long one at the end would keep one of them
    busy while the others have nothing left. Without workers the order is the one that was asked for.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    tests = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path]))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what the imports of all test files have made: it is there to the end."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """Make a folder for a PostgreSQL server, which runs as a user of its own.

    Not `tmp_path`: every pytest session that starts shuts the folder above it to other users.
    """
    with TemporaryDirectory(prefix="lora-broker-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
