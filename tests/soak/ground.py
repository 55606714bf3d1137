"""Where a proof in process stands: a folder, and a database of its own with the schema."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls
from tests.broker.conftest import run_server
from tests.broker.databases import cloned_database


@contextmanager
def open_ground(server: EmbeddedServer | None) -> Iterator[tuple[Path, DatabaseUrls]]:
    """Make a folder and clone a database of a server that is there, or of one that ends with the block."""
    with TemporaryDirectory(prefix="lora-broker-soak-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        if server is None:
            server = stack.enter_context(contextmanager(run_server)(folder))
        yield folder, stack.enter_context(cloned_database(server))
