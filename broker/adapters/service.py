"""The adapter registry: one adapter a job, named and versioned for its customer."""

import json
import struct
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ARRAY, Select, Text, any_, bindparam, func, or_, select

from broker import errors
from broker.adapters.exports import PREFIX as EXPORTS
from broker.adapters.model import Stage
from broker.adapters.promoting import list_stages_of, take_all_turns, withdraw_deleted
from broker.adapters.tables import Adapter, AdapterStage
from broker.jobs.admitting.starting_points import KEY, list_goers_on, select_goers_on
from broker.jobs.running.locked_run import LockedRun
from broker.jobs.service import (
    Job,
    forget_adapter,
    forget_adapters,
    load_jobs,
    lock_job,
    note_adapter,
    select_ids_of_contract,
    select_succeeded_ids,
)
from broker.persistence.database import narrow
from broker.persistence.driver import Command, Statement
from broker.persistence.storage import Storage, StoredObject, TooLarge
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Services, Work, list_seen, run_for_all

MAKERS = Statement(
    select(Adapter.run_id).where(
        Adapter.job_id == any_(bindparam("job_ids", type_=ARRAY(Text))), is_seen(Adapter.customer_id)
    )
)
# Longer than any request takes.
IN_FLIGHT = timedelta(minutes=10)
MAX_ADAPTER_BYTES = 8 * 1024**3
# Objects many times as large are made of it; one of 5,000 layers with all that a training tells has a megabyte.
MAX_HEADER_BYTES = 16 * 1024 * 1024
PEFT_CONFIG = "adapter_config"  # of the header: how the trainer tells it


@dataclass(frozen=True)
class Known:
    """What is known of some adapters besides their rows: their jobs by id, and the stages at which each is current."""

    jobs: Mapping[str, Job] = field(default_factory=dict)
    stages: Mapping[str, Collection[str]] = field(default_factory=dict)


async def receive_adapter(services: Services, run_id: str, chunks: AsyncIterator[bytes], sha256: str) -> StoredObject:
    """Store an uploaded adapter file, in no transaction.

    Each upload has a key of its own, so that one that is refused later never touches the adapter that is registered.
    Raises: UploadTooLarge, ChecksumMismatch, InvalidRequest.
    """
    key, storage = f"adapters/{run_id}/{services.new_id('upl')}.safetensors", services.storage
    try:
        stored = await storage.write(key, chunks, max_bytes=MAX_ADAPTER_BYTES)
    except TooLarge as error:
        raise errors.UploadTooLarge(
            f"body: has {error}; an adapter is smaller", limit_bytes=MAX_ADAPTER_BYTES
        ) from error
    if stored.sha256 != sha256.lower():
        await storage.delete(key)
        raise errors.ChecksumMismatch(f"The body has SHA-256 {stored.sha256}; X-Content-SHA256 says {sha256}.")
    if await read_header(storage, key) is None:
        await storage.delete(key)
        raise errors.invalid_field("body", "is not a safetensors file; no other format is taken")
    return stored


async def read_header(storage: Storage, key: str) -> dict[str, Any] | None:
    """Read the header of a safetensors file: the length of a JSON object, then that; None for a file of another kind.

    Raises: FileNotFoundError.
    """
    prefix = await storage.read(key, 0, 8)
    if len(prefix) < 8:
        return None
    (length,) = struct.unpack("<Q", prefix)
    if not 2 <= length <= min(MAX_HEADER_BYTES, await storage.size(key) - 8):
        return None
    try:
        header = json.loads(await storage.read(key, 8, 8 + length))
    except (ValueError, RecursionError):  # nested without an end
        return None
    return header if isinstance(header, dict) else None


async def read_peft_config(work: Work, adapter: Adapter) -> dict[str, Any]:
    """Read peft's configuration from the header of an adapter's file. Raises: NotFound, where it tells none."""
    config = await read_config_of(work.storage, adapter.storage_key)
    if config is None:
        raise errors.NotFound("configuration of adapter", adapter.id)
    return config


async def read_config_of(storage: Storage, key: str) -> dict[str, Any] | None:
    """Read peft's configuration from the header of a file; None where it tells none. Raises: FileNotFoundError."""
    told = (await read_header(storage, key) or {}).get("__metadata__")
    try:
        config = json.loads(told[PEFT_CONFIG]) if isinstance(told, dict) else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None


async def register_adapter(
    work: Work,
    locked: LockedRun,
    *,
    name: str,
    dataset_sha256: str | None,
    sha256: str,
    size_bytes: int,
    storage_key: str,
) -> Adapter:
    """Register a run's adapter; a later run of the same job replaces it under the same version."""
    earlier = await find_adapter_of_job(work, locked.job.id)
    if earlier is not None:
        earlier.run_id, earlier.sha256 = locked.run.id, sha256
        earlier.size_bytes, earlier.storage_key = size_bytes, storage_key
        return earlier
    adapter = Adapter(
        id=work.new_id("ada"),
        customer_id=locked.job.customer_id,
        project_id=locked.job.project_id,
        job_id=locked.job.id,
        run_id=locked.run.id,
        name=name,
        version=await _next_version(work, locked.job.customer_id, name),
        base_model=locked.job.estimate.base_model,
        dataset_id=locked.job.dataset_id,
        dataset_sha256=dataset_sha256,
        config=locked.job.config,
        sha256=sha256,
        size_bytes=size_bytes,
        storage_key=storage_key,
        created_at=work.now,
    )
    work.session.add(adapter)
    await work.session.flush()
    note_adapter(locked.job, adapter.id)
    return adapter


async def _next_version(work: Work, customer_id: str, name: str) -> int:
    """Find the next version of a name. Jobs that end at once take turns here, so that no version is given twice."""
    await work.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"adapter:{customer_id}:{name}"))))
    query = select(func.max(Adapter.version)).where(Adapter.customer_id == customer_id, Adapter.name == name)
    return (await work.session.scalar(query) or 0) + 1


async def find_adapter_of_job(work: Work, job_id: str) -> Adapter | None:
    return (await work.session.scalars(select(Adapter).where(Adapter.job_id == job_id))).one_or_none()


async def find_start(work: Work, customer_id: str, config: Mapping[str, Any]) -> Adapter | None:
    """Find the adapter that a customer's configuration goes on from; None where it begins anew, or that was deleted."""
    found = await find_start_of_job(work, customer_id, config)
    return None if found is None or found.deleted_at is not None else found


async def find_start_of_job(work: Work, customer_id: str, config: Mapping[str, Any]) -> Adapter | None:
    """Find the adapter that an admitted job goes on from, also where it was deleted since: its file stays until then.

    None where the job begins anew.
    """
    if config.get(KEY) is None:
        return None
    wanted = (Adapter.id == config[KEY], Adapter.customer_id == customer_id)
    return (await work.session.scalars(select(Adapter).where(*wanted))).one_or_none()


def select_offspring(adapter_id: str, customer_id: str) -> Select[Adapter]:
    """Select the adapters that went on from one."""
    return select_finished(customer_id=customer_id).where(Adapter.config[KEY].astext == adapter_id)


async def list_makers(works: Collection[Work], job_ids: Collection[str]) -> set[str]:
    """List the runs that made the adapters of these jobs, asked by units of work of one transaction."""
    asked = {"job_ids": list(job_ids), SEEN_BY.key: list_seen(works)}
    (found,) = await run_for_all(works, [Command(MAKERS, asked)])
    return {run_id for (run_id,) in found}


def select_finished(*, tag: str | None = None, stage: Stage | None = None, **wanted: str | None) -> Select[Adapter]:
    """Select the adapters of jobs that succeeded, all or those with these values in their columns.

    `tag`: those that have it; `stage`: those that are current there. That of a job under way may still be replaced.
    """
    shown = (Adapter.deleted_at.is_(None), Adapter.job_id.in_(select_succeeded_ids()))
    query = narrow(select(Adapter).where(*shown), **wanted)
    if tag is not None:
        query = query.where(any_(Adapter.tags) == tag)
    if stage is not None:
        current = select(AdapterStage.adapter_id).where(AdapterStage.stage == stage.value)
        query = query.where(Adapter.id.in_(current))
    return query


async def learn_of(work: Work, rows: Collection[Adapter]) -> Known:
    """Learn what is known of some adapters besides their rows."""
    jobs = await load_jobs(work, {row.job_id for row in rows})
    return Known({job.id: job for job in jobs}, await list_stages_of(work, [row.id for row in rows]))


async def tag_adapter(work: Work, adapter_id: str, tags: Sequence[str]) -> Adapter:
    """Give an adapter its tags, all anew; one that is said twice counts once. Raises: NotFound."""
    adapter = await get_adapter(work, adapter_id)
    adapter.tags = list(dict.fromkeys(tags))
    await work.session.flush()
    return adapter


async def load_kept(work: Work, adapter_ids: Collection[str]) -> dict[str, Adapter]:
    """Load those of some adapters that the actor sees and that are not deleted, by their ids."""
    query = select(Adapter).where(Adapter.id.in_(adapter_ids), Adapter.deleted_at.is_(None))
    return {row.id: row for row in await work.session.scalars(query)}


async def get_adapter(work: Work, adapter_id: str) -> Adapter:
    """Get the adapter of a job that succeeded. Raises: NotFound, also for one that was deleted."""
    adapter = (await work.session.scalars(select_finished().where(Adapter.id == adapter_id))).one_or_none()
    if adapter is None:
        raise errors.NotFound("adapter", adapter_id)
    return adapter


async def delete_adapter(work: Work, adapter_id: str, *, withdraws: bool = False) -> None:
    """Delete an adapter: its file goes, its row stays for the version that it was.

    One that is current at a stage is deleted only where that `withdraws` it. Raises: NotFound; IllegalTransition, while
    a job that is not over goes on from it, or a stage has it.
    """
    adapter = await get_adapter(work, adapter_id)
    await take_all_turns(work, [adapter.customer_id])
    stages = (await list_stages_of(work, [adapter_id])).get(adapter_id, [])
    if stages and not withdraws:
        raise errors.IllegalTransition(
            f"{adapter_id} is what {' and '.join(stages)} has of {adapter.name}; promote another, or withdraw it first."
        )
    needed_by = await list_goers_on(work, adapter_id)
    if needed_by:
        raise errors.IllegalTransition(
            f"{adapter_id} is what jobs go on from that are not over ({', '.join(needed_by)}); cancel them, or wait."
        )
    forget_adapter(await lock_job(work, adapter.job_id))
    await withdraw_deleted(work, [adapter_id])
    adapter.deleted_at = work.now


async def delete_of_contract(work: Work, contract_id: str) -> list[tuple[str, int]]:
    """Delete all adapters that jobs of a contract have made; returns their ids and sizes in bytes."""
    query = select(Adapter).where(Adapter.deleted_at.is_(None), Adapter.job_id.in_(select_ids_of_contract(contract_id)))
    rows = (await work.session.scalars(query.order_by(Adapter.id))).all()
    await take_all_turns(work, [row.customer_id for row in rows])
    for row in rows:
        row.deleted_at = work.now
    await withdraw_deleted(work, [row.id for row in rows])
    await forget_adapters(work, {row.job_id for row in rows})
    return [(row.id, row.size_bytes) for row in rows]


async def tell_kept_exports(work: Work, keys: Sequence[str]) -> dict[str, bool]:
    """Tell of storage keys of exports whether the adapter that each is of is kept; keys of none are left out."""
    owners = {key: key.removeprefix(EXPORTS).partition("/")[0] for key in keys}
    query = select(Adapter.id, Adapter.deleted_at.is_(None)).where(Adapter.id.in_(set(owners.values())))
    kept = dict((await work.session.execute(query)).all())
    return {key: kept[owner] for key, owner in owners.items() if owner in kept}


async def tell_kept(work: Work, keys: Sequence[str]) -> dict[str, bool]:
    """Tell of storage keys whether the adapter there is kept, or was deleted; keys of none are left out.

    One that was deleted is kept as long as a job that is not over goes on from it. A submission that was under way when
    it was deleted may have been let through: so none goes in its first minutes.
    """
    is_recent = Adapter.deleted_at > work.now - IN_FLIGHT
    is_kept = or_(Adapter.deleted_at.is_(None), is_recent, select_goers_on(Adapter.id).exists())
    query = select(Adapter.storage_key, is_kept).where(Adapter.storage_key.in_(keys))
    return dict((await work.session.execute(query)).all())


async def tell_hashes(work: Work, keys: Sequence[str]) -> dict[str, str]:
    """Tell the SHA-256, hex, of what lies under storage keys."""
    query = select(Adapter.storage_key, Adapter.sha256).where(Adapter.storage_key.in_(keys))
    return dict((await work.session.execute(query)).all())
