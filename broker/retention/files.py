"""Files of the storage that no row names any more: deleted ones, replaced ones, chunks and uploads that broke off."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from broker.adapters import service as adapters
from broker.datasets import service as datasets
from broker.datasets import uploads
from broker.jobs.running import checkpoints
from broker.persistence.storage import ListedObject
from broker.retention.model import Removed
from broker.system import System
from broker.work import Work

TellKept = Callable[[Work, Sequence[str]], Awaitable[Mapping[str, bool]]]
BATCH = 500


async def _know_none(_work: Work, _keys: Sequence[str]) -> Mapping[str, bool]:
    return {}


# Who knows what lies under which keys. What lies elsewhere is nobody's business here, and stays.
OWNERS: Mapping[str, TellKept] = {
    "datasets/": datasets.tell_kept,
    "uploads/": uploads.tell_kept,
    "checkpoints/": checkpoints.tell_kept,
    "adapters/": adapters.tell_kept,
    "exports/": adapters.tell_kept_exports,
    "chunks/": _know_none,
}


def is_left_over(listed: ListedObject, kept: bool | None, *, before: datetime) -> bool:
    """Tell whether a file may go: its row says that it is deleted, or it has none and was not written lately."""
    return listed.modified_at < before if kept is None else not kept


async def sweep_files(system: System, *, before: datetime) -> Removed:
    """Delete what is left over. A file without a row goes once it was last written before a moment."""
    storage = system.services.storage
    removed = Removed(await storage.delete_unfinished(before=before), 0)
    async for batch in list_left_over(system, before=before):
        for listed in batch:
            await storage.delete(listed.key)
        removed += count_files(batch)
    return removed


def count_files(files: Sequence[ListedObject]) -> Removed:
    return Removed(len(files), sum(listed.size_bytes for listed in files))


async def list_left_over(system: System, *, before: datetime) -> AsyncIterator[list[ListedObject]]:
    """List what is left over, some files at a time: who keeps them is asked in one statement for each batch."""
    for prefix, tell_kept in OWNERS.items():
        batch: list[ListedObject] = []
        async for listed in system.services.storage.list_objects(prefix):
            batch.append(listed)
            if len(batch) == BATCH:
                yield await _choose_left_over(system, batch, tell_kept, before)
                batch = []
        if batch:
            yield await _choose_left_over(system, batch, tell_kept, before)


async def _choose_left_over(
    system: System, batch: Sequence[ListedObject], tell_kept: TellKept, before: datetime
) -> list[ListedObject]:
    async with system.work() as work:
        kept = await tell_kept(work, [listed.key for listed in batch])
    return [listed for listed in batch if is_left_over(listed, kept.get(listed.key), before=before)]
