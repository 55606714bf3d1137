"""Undoing a decision of staff: what it changed is put back as it was, where nobody has changed it since."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from broker import errors
from broker.audit import service as audit
from broker.capacity import pool_changes, quotas
from broker.capacity import service as capacity
from broker.identity import key_limits
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.jobs.running import control
from broker.operations.applying import SIMULATION, put_back_applied, read_applied
from broker.scheduling import tuning
from broker.work import Change, Work

Values = Mapping[str, Any]
UNDO_TURN = 7_203_121


async def undo_decision(work: Work, entry_id: str) -> Change:
    """Put back what a decision changed; returns what that changed. Undoing that is doing it again.

    Of two who undo the same at one time the second finds it undone.

    Raises: NotFound, NotUndoable, ChangedSince, InvalidRequest, IllegalTransition.
    """
    await work.take_turn(UNDO_TURN)
    entry = await audit.get_entry(work, entry_id)
    done = audit.read_change(entry)
    undoing = await audit.find_undoing(work, entry_id)
    if undoing is not None:
        raise errors.NotUndoable(f"{entry_id} was undone by {undoing.id}; undo that one to have it again.")
    if done.kind not in DOORS:
        raise errors.NotUndoable(
            f"{entry_id} changed what only finance decides; set it anew: PUT /v1/chart-of-accounts."
        )
    read, put_back = DOORS[done.kind]
    require_unchanged(done, await read(work, done))
    await put_back(work, done)
    change = work.changes[-1]
    require_unchanged(done, {**done.after, **change.before})  # as it was once it was locked
    work.note_change(change.kind, change.object_id, change.before, change.after, undoes=entry_id)
    return work.changes[-1]


def require_unchanged(done: Change, now: Values) -> None:
    """Require that an object still has what a decision left it with. Raises: ChangedSince."""
    changed = {name: now[name] for name, left in done.after.items() if now[name] != left}
    if changed:
        told = ", ".join(f"{name} is {value!r} by now" for name, value in changed.items())
        raise errors.ChangedSince(
            f"{done.kind} {done.object_id} was changed since: {told}. Undo that first, or set it yourself.",
            errors=[errors.FieldError(name, f"is {value!r} by now") for name, value in changed.items()],
        )


async def _read_queue(work: Work, done: Change) -> Values:
    queue = await capacity.get_queue(work, done.object_id)
    return {name: getattr(queue, name) for name in done.after}


async def _put_back_queue(work: Work, done: Change) -> None:
    await tuning.tune_queue(work, done.object_id, done.before)


async def _read_pool(work: Work, done: Change) -> Values:
    return await pool_changes.tell_word(work, done.object_id)


async def _put_back_pool(work: Work, done: Change) -> None:
    await tuning.tune_pool(work, done.object_id, pool_changes.read_changes_back(done.before, done.after, work.now))


async def _read_job(work: Work, done: Change) -> Values:
    return {"priority": (await jobs.get_job(work, done.object_id)).priority}


async def _put_back_job(work: Work, done: Change) -> None:
    await control.set_priority(work, done.object_id, done.before["priority"], TAKEN_BACK)


async def _read_jobs(work: Work, done: Change) -> Values:
    now = {job.id: job.priority for job in await jobs.load_jobs(work, list(done.after))}
    return {job_id: now.get(job_id) for job_id in done.after}


async def _put_back_jobs(work: Work, done: Change) -> None:
    await control.set_priorities(work, done.before, TAKEN_BACK)


async def _read_quota(work: Work, done: Change) -> Values:
    quota = await quotas.get_quota(work, done.object_id)
    return {name: getattr(quota, name) for name in done.after}


async def _put_back_quota(work: Work, done: Change) -> None:
    await tuning.set_quota(work, done.object_id, done.before, TAKEN_BACK)


async def _put_back_simulation(work: Work, done: Change) -> None:
    await put_back_applied(work, done, TAKEN_BACK)


async def _read_key_limit(work: Work, done: Change) -> Values:
    return {"requests_per_minute": (await identity.get_api_key(work, done.object_id)).requests_per_minute}


async def _put_back_key_limit(work: Work, done: Change) -> None:
    await key_limits.set_key_limit(work, done.object_id, done.before["requests_per_minute"])


async def _read_customer_limit(work: Work, done: Change) -> Values:
    customer = await identity.get_customer(work, done.object_id)
    return {name: getattr(customer, name) for name in done.after}


async def _put_back_customer_limit(work: Work, done: Change) -> None:
    await key_limits.set_customer_limits(work, done.object_id, done.before)


TAKEN_BACK = "operations took back an earlier decision"
# By kind of object: how it is now, and how it is put back.
DOORS: Mapping[str, tuple[Callable[[Work, Change], Awaitable[Values]], Callable[[Work, Change], Awaitable[None]]]] = {
    "queue": (_read_queue, _put_back_queue),
    "pool": (_read_pool, _put_back_pool),
    "job": (_read_job, _put_back_job),
    control.SEVERAL_JOBS: (_read_jobs, _put_back_jobs),
    SIMULATION: (read_applied, _put_back_simulation),
    "contract_quota": (_read_quota, _put_back_quota),
    key_limits.KEY_LIMIT: (_read_key_limit, _put_back_key_limit),
    key_limits.CUSTOMER_LIMIT: (_read_customer_limit, _put_back_customer_limit),
}
