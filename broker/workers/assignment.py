"""What a worker fetches: its assignment, its data set, the checkpoint that it goes on from."""

from broker import errors
from broker.adapters import service as adapters
from broker.base_models import service as base_models
from broker.capacity.readiness import command_good_starts
from broker.customer_secrets.service import open_tracker
from broker.datasets import service as datasets
from broker.datasets.stored_tar import StoredTar
from broker.jobs.rules.model import RUN_ENDS, RunStatus
from broker.jobs.running.checkpoints import Checkpoint, find_last_checkpoint
from broker.jobs.running.locked_run import get_run, lock_run
from broker.jobs.running.log_lines import find_next_number
from broker.jobs.running.runs import claim_run
from broker.jobs.service import Job, get_job
from broker.ledger import service as ledger
from broker.work import Work
from broker.workers.model import Assignment, CheckpointDownload, Download
from pricing.catalog.profile import BaseModelProfile


async def claim_assignment(work: Work, run_id: str, fence_token: int) -> Assignment:
    """Give a run to the worker that has its devices. Raises: NotFound, StaleFenceToken."""
    locked = await lock_run(work, run_id, fence_token)
    is_first = claim_run(work, locked)
    await ledger.renew_holds(work, [locked.job.id])
    await work.run_together(command_good_starts([locked.run.pool] if is_first else []))
    dataset = await datasets.get_dataset(work, locked.job.dataset_id)
    return Assignment(
        run_id=run_id,
        job_id=locked.job.id,
        attempt=locked.run.attempt,
        gpus=locked.run.gpus,
        config=locked.job.config,
        heartbeat_seconds=work.settings.heartbeat_seconds,
        base_model=await _find_added_model(work, locked.job.estimate.base_model),
        dataset=Download(dataset.sha256, dataset.size_bytes),
        checkpoint=_describe_checkpoint(await find_last_checkpoint(work, locked.job.id)),
        init_adapter=await _describe_start(work, locked.job),
        tracker=await open_tracker(work, locked.job.customer_id, locked.job.project_id, locked.job.tracker),
        next_sequence=locked.run.acknowledged_sequence + 1,
        next_log_number=await find_next_number(work, run_id),
        now=work.now,
    )


async def _find_added_model(work: Work, name: str) -> BaseModelProfile | None:
    """Find the model that an operator added under a name; none is taken off the offer while a live job names it."""
    added = await base_models.find_added(work, name)
    return None if added is None else added.profile


def _describe_checkpoint(checkpoint: Checkpoint | None) -> CheckpointDownload | None:
    if checkpoint is None:
        return None
    return CheckpointDownload(checkpoint.sha256, checkpoint.size_bytes, checkpoint.step)


async def _describe_start(work: Work, job: Job) -> Download | None:
    adapter = await adapters.find_start_of_job(work, job.customer_id, job.config)
    return None if adapter is None else Download(adapter.sha256, adapter.size_bytes)


async def get_start_key(work: Work, run_id: str) -> str:
    """Get the storage key of the adapter that a run goes on from. Raises: NotFound, StaleFenceToken."""
    job = await get_job(work, await _get_job_id(work, run_id))
    adapter = await adapters.find_start_of_job(work, job.customer_id, job.config)
    if adapter is None:
        raise errors.NotFound("adapter of run", run_id)
    return adapter.storage_key


async def get_dataset_tar(work: Work, run_id: str) -> StoredTar:
    """Get where a run's data set lies. Raises: NotFound, StaleFenceToken."""
    job = await get_job(work, await _get_job_id(work, run_id))
    return (await datasets.get_dataset(work, job.dataset_id)).tar


async def get_checkpoint_key(work: Work, run_id: str) -> str:
    """Get the storage key of the checkpoint that a run goes on from. Raises: NotFound, StaleFenceToken."""
    checkpoint = await find_last_checkpoint(work, await _get_job_id(work, run_id))
    if checkpoint is None:
        raise errors.NotFound("checkpoint of run", run_id)
    return checkpoint.storage_key


async def _get_job_id(work: Work, run_id: str) -> str:
    """Get the job of a run. Raises: NotFound; StaleFenceToken, where it has ended: its token reads nothing more."""
    run = await get_run(work, run_id)
    if RunStatus(run.status) in RUN_ENDS:
        raise errors.StaleFenceToken(f"Run {run_id} has ended ({run.status}); stop and report nothing more.")
    return run.job_id
