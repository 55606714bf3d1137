"""Uploads in parts: a worker that was cut off goes on from the last byte that the broker has.

Parts of one file are kept under its SHA-256 until `PUT …?from_parts=true` makes the checkpoint or adapter of them.
"""

from collections.abc import AsyncIterator

from broker import errors
from broker.jobs.runs import check_current, get_run
from broker.persistence.storage import OffsetMismatch, TooLarge
from broker.work import Work

MAX_FILE_BYTES = 32 * 1024**3


def parts_key(run_id: str, sha256: str) -> str:
    return f"parts/{run_id}/{sha256.lower()}"


async def count_received(work: Work, run_id: str, sha256: str) -> int:
    """Count the bytes of a file that are here already. Raises: NotFound."""
    await get_run(work, run_id)
    return await work.storage.size(parts_key(run_id, sha256))


async def store_part(
    work: Work, run_id: str, fence_token: int, sha256: str, offset: int, chunks: AsyncIterator[bytes]
) -> int:
    """Keep a part from `offset` on: the bytes that are here then.

    Raises: NotFound, StaleFenceToken, UploadTooLarge; PartMismatch, where bytes before `offset` are missing.
    """
    await check_current(work, run_id, fence_token)
    try:
        return await work.storage.append(parts_key(run_id, sha256), offset, chunks, max_bytes=MAX_FILE_BYTES)
    except OffsetMismatch as error:
        raise errors.PartMismatch(
            f"offset: is {offset}, but {error}; go on from there",
            errors=[errors.FieldError("offset", f"go on from {error.size_bytes}")],
            received_bytes=error.size_bytes,
        ) from error
    except TooLarge as error:
        raise errors.UploadTooLarge(f"body: has {error}", limit_bytes=MAX_FILE_BYTES) from error


def read_parts(work: Work, run_id: str, sha256: str) -> AsyncIterator[bytes]:
    """The file that the parts make up."""
    return work.storage.stream(parts_key(run_id, sha256))


async def forget_parts(work: Work, run_id: str, sha256: str) -> None:
    await work.storage.delete(parts_key(run_id, sha256))
