"""Uploads in chunks: a worker that was cut off goes on from the last byte that the broker has.

Chunks of one file are kept under its SHA-256 until `PUT …?from_chunks=true` makes the checkpoint or adapter of them.
"""

from collections.abc import AsyncIterator

from broker import errors
from broker.jobs.running.locked_run import get_run
from broker.persistence.storage import OffsetMismatch, Storage, TooLarge
from broker.work import Work

MAX_FILE_BYTES = 32 * 1024**3


def name_key(run_id: str, sha256: str) -> str:
    return f"chunks/{run_id}/{sha256.lower()}"


async def count_received(work: Work, run_id: str, sha256: str) -> int:
    """Count the bytes of a file that the broker has already. Raises: NotFound."""
    await get_run(work, run_id)
    return await work.storage.size(name_key(run_id, sha256))


async def store_chunk(storage: Storage, run_id: str, sha256: str, offset: int, content: AsyncIterator[bytes]) -> int:
    """Keep a chunk of a run that may report from `offset` on; returns how many bytes of the file the broker has then.

    Raises: UploadTooLarge; ChunkMismatch, where bytes before `offset` are missing.
    """
    try:
        return await storage.append(name_key(run_id, sha256), offset, content, max_bytes=MAX_FILE_BYTES)
    except OffsetMismatch as error:
        raise errors.ChunkMismatch(
            f"offset: is {offset}, but {error}; go on from there",
            errors=[errors.FieldError("offset", f"go on from {error.size_bytes}")],
            received_bytes=error.size_bytes,
        ) from error
    except TooLarge as error:
        raise errors.UploadTooLarge(f"body: has {error}", limit_bytes=MAX_FILE_BYTES) from error


def read_file(storage: Storage, run_id: str, sha256: str) -> AsyncIterator[bytes]:
    """Read the file that the chunks make up."""
    return storage.stream(name_key(run_id, sha256))
