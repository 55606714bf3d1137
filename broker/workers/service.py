"""What a worker asks of the broker: its assignment, heartbeats, uploads, the end of its run."""

from collections.abc import AsyncIterator

from broker import errors
from broker.adapters import service as adapters
from broker.datasets import service as datasets
from broker.http.shapes import MoneyOut
from broker.identity import service as identity
from broker.jobs.limits import has_reached_limit
from broker.jobs.model import RUN_ENDS, RunStatus, StopReason
from broker.jobs.runs import (
    HeldRun,
    check_current,
    claim_run,
    end_run,
    find_checkpoint,
    find_last_checkpoint,
    get_run,
    hold_run,
    renew_lease,
    require_active,
)
from broker.jobs.service import get_job, record_event, request_stop
from broker.jobs.tables import Checkpoint
from broker.ledger import service as ledger
from broker.metering.service import record_usage
from broker.persistence.storage import StoredObject, TooLarge
from broker.work import Work
from broker.workers.observations import record_looks
from broker.workers.schemas import (
    CheckpointDownloadOut,
    DownloadOut,
    FinishIn,
    HeartbeatIn,
    HeartbeatOut,
    RunAssignmentOut,
)

MAX_CHECKPOINT_BYTES = 32 * 1024**3


async def claim(work: Work, run_id: str, fence_token: int) -> RunAssignmentOut:
    """Raises: NotFound, StaleFenceToken."""
    held = await hold_run(work, run_id, fence_token)
    await claim_run(work, held)
    dataset = await datasets.get_dataset(work, held.job.dataset_id)
    checkpoint = await find_last_checkpoint(work, held.job.id)
    return RunAssignmentOut(
        run_id=run_id,
        job_id=held.job.id,
        attempt=held.run.attempt,
        gpus=held.run.gpus,
        config=held.job.config,
        heartbeat_seconds=work.settings.heartbeat_seconds,
        dataset=DownloadOut(url=f"/v1/runs/{run_id}/dataset", sha256=dataset.sha256, size_bytes=dataset.size_bytes),
        checkpoint=_describe_checkpoint(run_id, checkpoint),
        next_sequence=held.run.acknowledged_sequence + 1,
    )


def _describe_checkpoint(run_id: str, checkpoint: Checkpoint | None) -> CheckpointDownloadOut | None:
    if checkpoint is None:
        return None
    return CheckpointDownloadOut(
        url=f"/v1/runs/{run_id}/checkpoint",
        step=checkpoint.step,
        sha256=checkpoint.sha256,
        size_bytes=checkpoint.size_bytes,
    )


async def heartbeat(work: Work, run_id: str, body: HeartbeatIn) -> HeartbeatOut:
    """Take a run's progress and usage, and tell it to go on or to stop. Raises: NotFound, StaleFenceToken."""
    held = await hold_run(work, run_id, body.fence_token)
    require_active(held)
    await claim_run(work, held)
    await _take_report(work, held, body)
    reason = held.job.stop_requested
    return HeartbeatOut.model_validate(
        {
            "command": "stop" if reason else "continue",
            "reason": reason,
            "acknowledged_sequence": held.run.acknowledged_sequence,
            "cost_so_far": MoneyOut.of_micros(held.job.cost_micros),
        }
    )


async def _take_report(work: Work, held: HeldRun, body: HeartbeatIn) -> None:
    await record_usage(work, held, body.usage)
    if body.progress is not None:
        held.job.progress = body.progress.model_dump(exclude_none=True)
    await record_looks(work, held, body.validations, body.samples)
    await renew_lease(work, held)
    if held.job.stop_requested is None:
        reason = await _find_shortage(work, held, body)
        if reason is not None:
            await request_stop(work, held.job, reason)


async def _find_shortage(work: Work, held: HeldRun, body: HeartbeatIn) -> StopReason | None:
    if has_reached_limit(held.job):
        return StopReason.BUDGET
    if body.usage and await ledger.is_exhausted(work, await ledger.get_hold(work, held.job.id)):
        return StopReason.OUT_OF_BALANCE
    return None


async def finish(work: Work, run_id: str, body: FinishIn) -> HeldRun:
    """End a run as its worker reports it; again is the same. Raises: NotFound, StaleFenceToken, IllegalTransition."""
    held = await hold_run(work, run_id, body.fence_token)
    outcome = RunStatus(body.outcome)
    if held.run.status == outcome:
        return held
    require_active(held)
    await _take_report(work, held, body)
    if outcome == RunStatus.SUCCEEDED:
        await _require_adapter(work, held)
    await end_run(work, held, outcome, body.error.model_dump() if body.error else None)
    return held


async def _require_adapter(work: Work, held: HeldRun) -> None:
    adapter = await adapters.find_adapter_of_job(work, held.job.id)
    if adapter is None or adapter.run_id != held.run.id:
        raise errors.IllegalTransition(f"Run {held.run.id} cannot succeed before its adapter is uploaded.")


async def store_checkpoint(
    work: Work, run_id: str, fence_token: int, step: int, chunks: AsyncIterator[bytes], sha256: str
) -> Checkpoint:
    """Keep a checkpoint; the bytes come before the lock.

    Each upload has a key of its own: one that breaks off, is torn or comes too late leaves the stored one as it is.
    Raises: NotFound, StaleFenceToken, ChecksumMismatch, UploadTooLarge.
    """
    await check_current(work, run_id, fence_token)
    key = f"checkpoints/{run_id}/step-{step:08d}-{work.new_id('upl')}.tar"
    stored = await _receive(work, key, chunks, sha256)
    held = await hold_run(work, run_id, fence_token)
    require_active(held)
    await renew_lease(work, held)
    earlier = await find_checkpoint(work, run_id, step)
    if earlier is not None:
        earlier.sha256, earlier.size_bytes, earlier.storage_key = stored.sha256, stored.size_bytes, key
        return earlier
    checkpoint = Checkpoint(
        id=work.new_id("chk"),
        customer_id=held.job.customer_id,
        job_id=held.job.id,
        run_id=run_id,
        step=step,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        storage_key=key,
        created_at=work.now,
    )
    work.session.add(checkpoint)
    await work.session.flush()
    record_event(work, held.job, "checkpoint_saved", {"run_id": run_id, "step": step})
    return checkpoint


async def _receive(work: Work, key: str, chunks: AsyncIterator[bytes], sha256: str) -> StoredObject:
    try:
        stored = await work.storage.write(key, chunks, max_bytes=MAX_CHECKPOINT_BYTES)
    except TooLarge as error:
        raise errors.UploadTooLarge(f"body: has {error}", limit_bytes=MAX_CHECKPOINT_BYTES) from error
    if stored.sha256 != sha256.lower():
        await work.storage.delete(key)
        raise errors.ChecksumMismatch(f"The body has SHA-256 {stored.sha256}; X-Content-SHA256 says {sha256}.")
    return stored


async def store_adapter(work: Work, run_id: str, fence_token: int, chunks: AsyncIterator[bytes], sha256: str) -> int:
    """Keep and enter a run's adapter: its size. Raises: NotFound, StaleFenceToken, ChecksumMismatch, InvalidRequest."""
    await check_current(work, run_id, fence_token)
    key, size_bytes = await adapters.receive_adapter(work, run_id, chunks, sha256)
    held = await hold_run(work, run_id, fence_token)
    require_active(held)
    await renew_lease(work, held)
    await adapters.register_adapter(
        work,
        held,
        name=await _adapter_name(work, held),
        sha256=sha256.lower(),
        size_bytes=size_bytes,
        storage_key=key,
    )
    return size_bytes


async def _adapter_name(work: Work, held: HeldRun) -> str:
    """An adapter is called after its project, or after its data set where it has none."""
    if held.job.project_id is not None:
        return (await identity.get_project(work, held.job.project_id)).name
    dataset = await datasets.get_dataset(work, held.job.dataset_id)
    return dataset.name.rsplit(".", 1)[0]


async def dataset_of_run(work: Work, run_id: str) -> str:
    """The storage key of a run's data set. Raises: NotFound."""
    job = await get_job(work, await _job_of(work, run_id))
    return (await datasets.get_dataset(work, job.dataset_id)).storage_key


async def checkpoint_of_run(work: Work, run_id: str) -> str:
    """The storage key of the checkpoint that a run goes on from. Raises: NotFound."""
    checkpoint = await find_last_checkpoint(work, await _job_of(work, run_id))
    if checkpoint is None:
        raise errors.NotFound("checkpoint of run", run_id)
    return checkpoint.storage_key


async def _job_of(work: Work, run_id: str) -> str:
    """Raises: NotFound; StaleFenceToken, where the run has ended: its token reads nothing any more."""
    run = await get_run(work, run_id)
    if RunStatus(run.status) in RUN_ENDS:
        raise errors.StaleFenceToken(f"Run {run_id} has ended ({run.status}); stop and report nothing more.")
    return run.job_id
