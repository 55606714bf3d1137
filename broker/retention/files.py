"""Files of the storage that no row names any more: deleted ones, replaced ones, chunks and uploads that broke off."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    for prefix, tell_kept in OWNERS.items():
        batch: list[ListedObject] = []
        async for listed in storage.list_objects(prefix):
            batch.append(listed)
            if len(batch) == BATCH:
                removed += await _sweep_batch(system, batch, tell_kept, before)
                batch = []
        removed += await _sweep_batch(system, batch, tell_kept, before)
    return removed


async def _sweep_batch(system: System, batch: Sequence[ListedObject], tell_kept: TellKept, before: datetime) -> Removed:
    """Ask about some files in one statement, then delete, in no transaction, those that may go."""
    if not batch:
        return Removed()
    async with system.work() as work:
        kept = await tell_kept(work, [listed.key for listed in batch])
    left = [listed for listed in batch if is_left_over(listed, kept.get(listed.key), before=before)]
    for listed in left:
        await system.services.storage.delete(listed.key)
    return Removed(len(left), sum(listed.size_bytes for listed in left))
