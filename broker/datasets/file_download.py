"""A file of a data set as it was uploaded, read out of the packed data set piece by piece."""

import asyncio
import tarfile
from collections.abc import AsyncIterator, Iterator

from broker import errors
from broker.datasets.stored_tar import Opener, StoredTar
from broker.datasets.tables import Dataset
from broker.persistence.storage import Storage

PIECE_BYTES = 1 << 20


def require_file(dataset: Dataset, name: str) -> int:
    """Get the size in bytes of a file of a data set. Raises: NotFound."""
    sizes = {file["name"]: file["size_bytes"] for file in dataset.files}
    if name not in sizes:
        raise errors.NotFound("file", name)
    return int(sizes[name])


async def stream_file(storage: Storage, tar: StoredTar, name: str) -> AsyncIterator[bytes]:
    """Stream a file of a packed data set. Raises: OSError; KeyError, for a name that is not in it."""
    async with tar.borrow(storage) as packed:
        pieces = _iter_file(packed, name)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece


def _iter_file(packed: Opener, name: str) -> Iterator[bytes]:
    with packed() as opened, tarfile.open(fileobj=opened, mode="r:") as archive:
        found = archive.extractfile(name)
        while found is not None and (piece := found.read(PIECE_BYTES)):
            yield piece
