"""What a worker uploads: checkpoints and the finished adapter. The bytes come first, then the transaction with locks.

Each upload has a key of its own: one that breaks off, is torn or comes too late leaves the stored one as it is.
"""

from collections.abc import AsyncIterator

from broker import errors
from broker.adapters import service as adapters
from broker.adapters.model import STYLE_LABEL
from broker.datasets import service as datasets
from broker.identity import service as identity
from broker.jobs.running import checkpoints
from broker.jobs.running.checkpoints import Checkpoint
from broker.jobs.running.locked_run import LockedRun, lock_run, require_active
from broker.jobs.running.runs import renew_lease
from broker.ledger import service as ledger
from broker.persistence.storage import StoredObject, TooLarge
from broker.work import Services, Work

MAX_CHECKPOINT_BYTES = 32 * 1024**3


async def receive_checkpoint(
    services: Services, run_id: str, step: int, content: AsyncIterator[bytes], sha256: str
) -> StoredObject:
    """Store the bytes of a checkpoint, in no transaction. Raises: ChecksumMismatch, UploadTooLarge."""
    key = f"checkpoints/{run_id}/step-{step:08d}-{services.new_id('upl')}.tar"
    try:
        stored = await services.storage.write(key, content, max_bytes=MAX_CHECKPOINT_BYTES)
    except TooLarge as error:
        raise errors.UploadTooLarge(f"body: has {error}", limit_bytes=MAX_CHECKPOINT_BYTES) from error
    if stored.sha256 != sha256.lower():
        await services.storage.delete(key)
        raise errors.ChecksumMismatch(f"The body has SHA-256 {stored.sha256}; X-Content-SHA256 says {sha256}.")
    return stored


async def keep_checkpoint(work: Work, run_id: str, fence_token: int, step: int, stored: StoredObject) -> Checkpoint:
    """Record a checkpoint that was stored. Raises: NotFound, StaleFenceToken."""
    return await checkpoints.keep_checkpoint(work, await lock_live_run(work, run_id, fence_token), step, stored)


async def lock_live_run(work: Work, run_id: str, fence_token: int) -> LockedRun:
    """Lock a run that still reports, and take its upload for a sign of life."""
    locked = await lock_run(work, run_id, fence_token)
    require_active(locked)
    renew_lease(work, locked)
    await ledger.renew_holds(work, [locked.job.id])
    return locked


async def keep_adapter(work: Work, run_id: str, fence_token: int, stored: StoredObject) -> None:
    """Register an adapter that was stored. Raises: NotFound, StaleFenceToken."""
    locked = await lock_live_run(work, run_id, fence_token)
    dataset = await datasets.find_dataset(work, locked.job.dataset_id)
    await adapters.register_adapter(
        work,
        locked,
        name=await _choose_adapter_name(work, locked, None if dataset is None else dataset.name),
        dataset_sha256=None if dataset is None else dataset.sha256,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        storage_key=stored.key,
    )


async def _choose_adapter_name(work: Work, locked: LockedRun, dataset_name: str | None) -> str:
    """Choose an adapter's name: its job's style, where a label tells it; or else its project, or its data set."""
    style = locked.job.labels.get(STYLE_LABEL)
    if style is not None:
        return str(style)
    if locked.job.project_id is not None:
        return (await identity.get_project(work, locked.job.project_id)).name
    return locked.job.dataset_id if dataset_name is None else dataset_name.rsplit(".", 1)[0]
