"""What all tests share: which of them a fast run leaves out, in which order workers take them, where servers live."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fast_run import is_fast
from tests.lengths import Lengths
from tests.nameless_files import NamelessFiles
from tests.properties import choose_profile

YOUNG_OBJECTS = 10_000  # that are made before the garbage collector looks again
# A shell's background job ignores Ctrl-C, and what the tests start would do so after it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast", action="store_true", help="run what needs no PostgreSQL and is not slow, and the stories"
    )


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all test files are imported: it would look through what stays a thousand times
    choose_profile(fast=config.getoption("fast"))
    cache = getattr(config, "cache", None)  # none with `-p no:cacheprovider`
    config.pluginmanager.register(Lengths(cache, is_worker="PYTEST_XDIST_WORKER" in os.environ))
    config.pluginmanager.register(NamelessFiles())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a fast run leaves out."""
    if config.getoption("fast"):
        left_out = [item for item in items if not is_fast(item)]
        items[:] = [item for item in items if is_fast(item)]
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what the imports of all test files have made: it is there to the end.

    From then on it looks as seldom as in a served process; at Python's own pace it takes a seventeenth of the tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()


FolderMaker = Callable[[], AbstractContextManager[Path]]


@pytest.fixture(scope="session")
def server_folders() -> FolderMaker:
    """Make a folder for a PostgreSQL server, for as long as a block lasts; whoever starts a server asks for this.

    Not `tmp_path`: a server runs as a user of its own, and every pytest session that starts shuts the folder above to
    other users.
    """
    return make_server_folder


@contextmanager
def make_server_folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="lora-broker-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def server_folder(server_folders: FolderMaker) -> Iterator[Path]:
    with server_folders() as folder:
        yield folder
