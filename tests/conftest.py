"""What all tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# A shell's background job ignores Ctrl-C, and what the tests start would do so after it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """Make a folder for a PostgreSQL server, which runs as a user of its own.

    Not `tmp_path`: every pytest session that starts shuts the folder above it to other users.
    """
    with TemporaryDirectory(prefix="lora-broker-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
