"""What the planner plans with beside the jobs that wait: which hold devices; and writing down why each waits."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Table, Text, any_, bindparam, func, inspect, literal, select, text

from broker.jobs.rules.model import HOLDS_DEVICES, MOST_EXPECTED_SECONDS, RUN_ENDS, JobStatus
from broker.jobs.tables import ACTIVE_RUN, Job, Run
from broker.persistence import outbox
from broker.persistence.documents import explain_unreadable
from broker.persistence.driver import Command, Row, Statement
from broker.persistence.membership import is_literally
from broker.persistence.set_writes import command_updates
from broker.work import Work

# The p50: half of such jobs hold their devices no longer. A job that goes on needs what is left. Units: GPU-seconds.
# As text, since a cast of thousands of rows costs more than to read them here.
LEFT_GPU_SECONDS = Job.remaining["gpu_seconds"]["p50"].as_string()
WHOLE_GPU_SECONDS = Job.estimate["gpu_seconds"]["p50"].as_string()
EXPECTED_GPU_SECONDS = func.coalesce(LEFT_GPU_SECONDS, WHOLE_GPU_SECONDS)
LATE_GPU_SECONDS = func.coalesce(
    Job.remaining["gpu_seconds"]["p90"].as_string(), Job.estimate["gpu_seconds"]["p90"].as_string()
)
WHOLE = re.compile("[0-9]{1,18}")
NOT_PLANNED = "not_planned"

LOCK_WAITING = Statement(
    select(Job.id)
    .where(Job.id == any_(bindparam("job_ids", type_=ARRAY(Text))), Job.status == JobStatus.QUEUED.value)
    .with_for_update(key_share=True, skip_locked=True)
)
OF_HOLDERS = (Job.id, Job.contract_id, Run.pool, Run.agent_id, Run.gpus, Run.created_at)
HOLDING = Statement(
    select(*OF_HOLDERS, EXPECTED_GPU_SECONDS, Job.queue, LATE_GPU_SECONDS, Run.node)
    .join(Run, (Run.job_id == Job.id) & (Run.attempt == Job.attempts))
    .where(is_literally(Job.status, HOLDS_DEVICES))
    .where(text(f"runs.{ACTIVE_RUN}"))  # as few as devices, and found by an index
)
STOPPING = Statement(
    select(*OF_HOLDERS, Run.node, Run.id)
    .join(Run, Run.job_id == Job.id)
    .where(Run.id.in_(outbox.UNSTOPPED), is_literally(Run.status, RUN_ENDS))
)
# So many are told in one message.
TOLD_AT_ONCE = 1_000


@dataclass(frozen=True)
class DeviceHolder:
    """A run that holds devices. `expected_seconds` is its whole time; None: it has ended and is being stopped.

    `late_seconds` is what nine of ten such jobs take at most. `node`: where it was placed in its cluster. `run_id`:
    of one that is being stopped.
    """

    job_id: str
    contract_id: str
    pool: str
    agent_id: str | None
    gpus: int
    started_at: datetime
    expected_seconds: int | None
    queue: str = ""
    late_seconds: int | None = None
    node: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class WaitNotice:
    """What a waiting job is to be told."""

    job_id: str
    reason: dict[str, Any]
    expected_start: datetime | None
    latest_start: datetime | None = None


def bound_seconds(gpu_seconds: int, gpus: int) -> int:
    """Bound what so many devices take for GPU-seconds to what can be planned with. Units: seconds."""
    return min(max(1, gpu_seconds // gpus), MOST_EXPECTED_SECONDS)


def _expected_seconds(written: str | None, gpus: int) -> int:
    """Read the GPU-seconds that a job is expected to need; what cannot be read counts as a second."""
    return bound_seconds(int(written) if written is not None and WHOLE.fullmatch(written) else 0, gpus)


async def list_running_of(work: Work, batch_ids: Collection[str]) -> dict[str, list[str]]:
    """List the jobs of each batch that hold devices."""
    if not batch_ids:
        return {}
    holding = Job.status.in_([status.value for status in HOLDS_DEVICES])
    ids = literal(list(batch_ids), ARRAY(Text))
    query = select(Job.batch_id, func.array_agg(Job.id)).where(Job.batch_id == any_(ids), holding)
    rows = await work.session.execute(query.group_by(Job.batch_id))
    return {batch_id: list(running) for batch_id, running in rows if batch_id is not None}


async def add_up_ended(work: Work, queue: str, since: datetime) -> int:
    """Add up the GPU-seconds for which runs of a queue's jobs that have ended held devices since a moment."""
    held = func.extract("epoch", Run.ended_at - func.greatest(Run.created_at, since)) * Run.gpus
    query = select(func.coalesce(func.sum(held), 0)).join(Job, Job.id == Run.job_id)
    return math.ceil(await work.session.scalar(query.where(Run.ended_at > since, Job.queue == queue)) or 0)


@dataclass(frozen=True)
class LastPlace:
    """Where the last run of a job was; `node` None: its pool was one machine."""

    job_id: str
    pool: str
    node: str | None
    gpus: int


async def list_last_places(work: Work, job_ids: Collection[str]) -> list[LastPlace]:
    """List where the last runs of these jobs were, by job; one that has not run is not among them."""
    if not job_ids:
        return []
    last = (Run.job_id == Job.id) & (Run.attempt == Job.attempts)
    query = select(Job.id, Run.pool, Run.node, Run.gpus).join(Run, last).order_by(Job.id)
    ids = literal(list(job_ids), ARRAY(Text))
    return [LastPlace(*row) for row in await work.session.execute(query.where(Job.id == any_(ids)))]


async def list_faults(work: Work, job_ids: Collection[str]) -> dict[str, str]:
    """List what cannot be read of these jobs, by job; one of which all can be read is not among them."""
    if not job_ids:
        return {}
    ids = literal(list(job_ids), ARRAY(Text))
    query = select(Job.id, Job.estimate, Job.remaining, Job.gpu_types).where(Job.id == any_(ids))
    found = {job_id: _find_fault(*values) for job_id, *values in await work.session.execute(query)}
    return {job_id: fault for job_id, fault in found.items() if fault is not None}


def _find_fault(estimate: object, remaining: object, gpu_types: object) -> str | None:
    for name, value in (("estimate", estimate), ("remaining", remaining), ("gpu_types", gpu_types)):
        fault = explain_unreadable(value)
        if fault is not None:
            return f"{name}: {fault}"
    return None


async def count_waiting(work: Work) -> dict[str, int]:
    """Count the queued jobs by the reason that they were told last; those that came since then by `not_planned`."""
    code = func.coalesce(Job.pending_reason["code"].as_string(), NOT_PLANNED)
    query = select(code, func.count()).where(Job.status == JobStatus.QUEUED.value).group_by(code)
    return {told: int(number) for told, number in await work.session.execute(query)}


async def list_device_holders(work: Work) -> list[DeviceHolder]:
    """List the present runs of dispatched and running jobs, and ended runs whose processes are still being stopped."""
    return read_device_holders(*await work.run_together(find_device_holders()))


def find_device_holders() -> list[Command]:
    """Make the commands that find the runs that hold devices; see `list_device_holders`."""
    return [Command(HOLDING), Command(STOPPING)]


def read_device_holders(holding: Iterable[Row], stopping: Iterable[Row]) -> list[DeviceHolder]:
    """Read the runs that hold devices from the rows of `find_device_holders`."""
    return [_read_holder(*row) for row in holding] + [_read_stopping(*row) for row in stopping]


def _read_stopping(
    job_id: str,
    contract_id: str,
    pool: str,
    agent_id: str | None,
    gpus: int,
    since: datetime,
    node: str | None,
    run_id: str,
) -> DeviceHolder:
    return DeviceHolder(job_id, contract_id, pool, agent_id, gpus, since, None, node=node, run_id=run_id)


def _read_holder(
    job_id: str,
    contract_id: str,
    pool: str,
    agent_id: str | None,
    gpus: int,
    since: datetime,
    seconds: str | None,
    queue: str,
    late: str | None,
    node: str | None,
) -> DeviceHolder:
    expected = _expected_seconds(seconds, gpus)
    late_seconds = max(expected, _expected_seconds(late, gpus))
    return DeviceHolder(job_id, contract_id, pool, agent_id, gpus, since, expected, queue, late_seconds, node)


async def write_waits(work: Work, waits: Sequence[WaitNotice]) -> set[str]:
    """Tell jobs why they wait; one that waits no longer, or is locked elsewhere, is left as it is.

    Returns those that were told.
    """
    told: set[str] = set()
    for begin in range(0, len(waits), TOLD_AT_ONCE):
        told |= await _write_some(work, waits[begin : begin + TOLD_AT_ONCE])
    return told


async def _write_some(work: Work, waits: Sequence[WaitNotice]) -> set[str]:
    (rows,) = await work.run_together([Command(LOCK_WAITING, {"job_ids": [wait.job_id for wait in waits]})])
    free = {job_id for (job_id,) in rows}
    told = [
        {
            "id": wait.job_id,
            "pending_reason": wait.reason,
            "expected_start": wait.expected_start,
            "latest_start": wait.latest_start,
        }
        for wait in waits
        if wait.job_id in free
    ]
    table = inspect(Job).local_table
    assert isinstance(table, Table)
    await work.run_together(command_updates(table, ("expected_start", "latest_start", "pending_reason"), told))
    return free
