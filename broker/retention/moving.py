"""Copying what is stored from one place to another, with every hash checked: a folder to a bucket, or back.

What is there already, with the right hash, is not sent again: a copy that broke off is simply started anew. The
place gets the id of the one that it is a copy of once all of it is there, and not before.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from broker import errors
from broker.adapters import service as adapters
from broker.datasets import service as datasets
from broker.jobs.running import checkpoints
from broker.persistence.storage import ListedObject, Storage, digest_stream
from broker.retention.files import OWNERS
from broker.system import System
from broker.work import Work

TellHashes = Callable[[Work, Sequence[str]], Awaitable[Mapping[str, str]]]
BATCH = 100
# What grows by chunks goes on growing there: it is copied as it grew.
GROWING = ("chunks/", "uploads/")
HASHES: Mapping[str, TellHashes] = {
    "datasets/": datasets.tell_hashes,
    "checkpoints/": checkpoints.tell_hashes,
    "adapters/": adapters.tell_hashes,
}


@dataclass
class CopyReport:
    """What was copied, in objects and bytes, what was there already, and what is not as its row says, by key."""

    copied: int = 0
    copied_bytes: int = 0
    there_before: int = 0
    faults: list[str] = field(default_factory=list)


async def copy_storage(system: System, target: Storage, tell: Callable[[CopyReport], None]) -> CopyReport:
    """Copy all that is kept to another place; `tell` is told how far it is. Raises: OperatorError, OSError.

    What the brokers write or delete meanwhile is left to the copy that is made when they have ended: it is no fault.
    """
    source, report = system.services.storage, CopyReport()
    own_id, other_id = await source.find_id(), await target.find_id()
    if own_id is None:
        raise errors.OperatorError("the storage of this installation has no id: it is empty or not mounted")
    if other_id not in {None, own_id}:
        raise errors.OperatorError(f"the target is another installation's storage ({other_id}); name an empty one")
    for prefix in OWNERS:
        async for batch in _list_batches(source, prefix):
            hashes = await _list_kept(system, prefix, batch)
            for listed in batch:
                if listed.key in hashes:
                    await _copy(source, target, listed, hashes[listed.key], report)
            tell(report)
    if not report.faults:
        await target.create_id(own_id)
    return report


async def _list_batches(source: Storage, prefix: str) -> AsyncIterator[list[ListedObject]]:
    batch = list[ListedObject]()
    async for listed in source.list_objects(prefix):
        batch.append(listed)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _list_kept(system: System, prefix: str, batch: Sequence[ListedObject]) -> dict[str, str | None]:
    """List the keys that are to be copied, each with the hash that its row has; None where no row has one."""
    keys = [listed.key for listed in batch]
    async with system.work() as work:
        kept = await OWNERS[prefix](work, keys)
        hashes = await HASHES[prefix](work, keys) if prefix in HASHES else {}
    return {key: hashes.get(key) for key in keys if kept.get(key, prefix == "chunks/")}


async def _copy(source: Storage, target: Storage, listed: ListedObject, sha256: str | None, report: CopyReport) -> None:
    """Copy what was listed, and no more of it where it has grown since."""
    key, size_bytes = listed.key, listed.size_bytes
    wanted = sha256 or (await digest_stream(source.stream(key, 0, size_bytes)))[0]
    if await target.size(key) == size_bytes and await _has(target, key, wanted):
        report.there_before += 1
        return
    await target.delete(key)
    if key.startswith(GROWING):
        await target.append(key, 0, source.stream(key, 0, size_bytes), max_bytes=size_bytes)
    else:
        await target.write(key, source.stream(key, 0, size_bytes), max_bytes=size_bytes)
    if await _has(target, key, wanted):
        report.copied += 1
        report.copied_bytes += size_bytes
    else:
        await target.delete(key)
        if await source.size(key) == size_bytes:
            report.faults.append(key)


async def _has(storage: Storage, key: str, sha256: str) -> bool:
    """Tell whether what is under a key has this hash, by reading all of it."""
    return (await digest_stream(storage.stream(key)))[0] == sha256
