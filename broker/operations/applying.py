"""Applying what was simulated: all of a proposal, with a reason, while nothing has changed since; one decision."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from broker import errors
from broker.capacity import pool_changes
from broker.scheduling import simulations, tuning
from broker.scheduling.cycle.live import CYCLE_LOCK
from broker.scheduling.cycle.outlook import Effects
from broker.scheduling.proposed_settings import Setting, read_proposed_settings
from broker.scheduling.settings import Settings, list_differences, read_settings
from broker.work import Change, Work

SIMULATION = "simulation"
# What was replayed longer ago says little of the line that there is now.
FRESH_FOR = timedelta(minutes=30)
MOST_NAMED = 5
By = Mapping[str, Mapping[str, Any]]


@dataclass
class Applied:
    """What applying a proposal changed; who stops, which runs are lost, whom it lets start, whom it strands."""

    change: Change
    stopping: list[str] = field(default_factory=list)
    lost_runs: list[str] = field(default_factory=list)
    effects: Effects = field(default_factory=Effects)


async def apply_simulation(work: Work, simulation_id: str, reason: str) -> Applied:
    """Apply what a simulation proposed: all of it, or nothing; it can be undone as one decision.

    Raises: NotFound, StaleSimulation, InvalidRequest, IllegalTransition.
    """
    await work.take_turn(CYCLE_LOCK)
    row = await simulations.get_simulation(work, simulation_id)
    if row.status != simulations.DONE:
        raise errors.IllegalTransition(
            f"Simulation {row.id} is {row.status}; apply it once it is done.", status_before=row.status
        )
    wanted = read_proposed_settings(row.proposal)
    await require_fresh(work, row)
    applied = Applied(Change(SIMULATION, row.id, {}, {}))
    await put(work, wanted, reason, applied)
    require_untouched(row.settings or {}, work.changes)
    applied.change = note_applied(work, row.id)
    return applied


async def require_fresh(work: Work, row: simulations.QueueSimulation) -> None:
    """Require that nothing has changed since a simulation was asked for, which was lately. Raises: StaleSimulation."""
    age = work.now - row.ends_at
    if age > FRESH_FOR:
        minutes, most = age // timedelta(minutes=1), FRESH_FOR // timedelta(minutes=1)
        raise errors.StaleSimulation(
            f"Its window ended {minutes} minutes ago, and the line is another one by now; simulate the proposal again.",
            errors=[errors.FieldError("ends_at", f"is {minutes} minutes ago; {most} at most")],
        )
    now = await read_settings(work, *(row.proposal.get(kind, {}).keys() for kind in ("contracts", "jobs")))
    _refuse_changed(list_differences(row.settings or {}, now))


def require_untouched(settings: Settings, changes: Sequence[Change]) -> None:
    """Require that what was put was as it had been simulated, now that it is locked: no one came between. Pure.

    Raises: StaleSimulation.
    """
    touched = {}
    for change in changes:
        simulated = settings.get(KINDS[change.kind], {}).get(change.object_id, {})
        for name, value in change.before.items():
            if simulated.get(name) != value:
                touched[f"{KINDS[change.kind]}.{change.object_id}.{name}"] = value
    _refuse_changed(touched)


def _refuse_changed(changed: Mapping[str, Any]) -> None:
    if changed:
        told = ", ".join(f"{name} is {value!r} by now" for name, value in list(changed.items())[:MOST_NAMED])
        raise errors.StaleSimulation(
            f"Settings were changed since it was asked for: {told}. Simulate the proposal again.",
            errors=[errors.FieldError(name, f"is {value!r} by now") for name, value in changed.items()],
        )


async def put(work: Work, wanted: Sequence[Setting], reason: str, applied: Applied) -> None:
    """Put settings into force, each object's together, in the order of kinds and names."""
    by_object: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for setting in wanted:
        by_object[setting.kind, setting.name][setting.field] = setting.value
    for (kind, name), changes in sorted(by_object.items(), key=_rank):
        await PUTTING[kind](work, name, changes, reason, applied)


def _rank(told: tuple[tuple[str, str], dict[str, Any]]) -> tuple[int, str]:
    (kind, name), _changes = told
    return tuple(PUTTING).index(kind), name


async def _put_contract(work: Work, name: str, changes: dict[str, Any], reason: str, applied: Applied) -> None:
    tuned, effects = await tuning.set_quota(work, name, changes, reason)
    applied.stopping += tuned.stopping
    _take(applied, effects)


async def _put_pool(work: Work, name: str, changes: dict[str, Any], _reason: str, applied: Applied) -> None:
    stops = {name: changes[name] for name in pool_changes.STOP_SETTINGS if name in changes}
    nodes = changes.get("nodes") or {}
    planned = changes.get("maintenance")
    words = pool_changes.PoolChanges(changes.get("open"), changes.get("discipline"), nodes, planned, stops)
    tuned, effects = await tuning.tune_pool(work, name, words)
    applied.lost_runs += tuned.lost_runs
    _take(applied, effects)


async def _put_queue(work: Work, name: str, changes: dict[str, Any], _reason: str, applied: Applied) -> None:
    tuned, effects = await tuning.tune_queue(work, name, changes)
    applied.stopping += tuned.stopping
    _take(applied, effects)


async def _put_job(work: Work, name: str, changes: dict[str, Any], reason: str, applied: Applied) -> None:
    _job, effects = await tuning.tune_job(
        work, name, tuning.JobChanges(changes_priority=True, priority=changes["priority"], reason=reason)
    )
    _take(applied, effects)


def _take(applied: Applied, effects: Effects) -> None:
    """Take what one of several changes does: whom any of them lets start, and whom the last of them strands."""
    applied.effects.freed += [job for job in effects.freed if job not in applied.effects.freed]
    known = {job.job_id for job in applied.effects.stranded}
    applied.effects.stranded += [job for job in effects.stranded if job.job_id not in known]


PUTTING: Mapping[str, Callable[[Work, str, dict[str, Any], str, Applied], Awaitable[None]]] = {
    "jobs": _put_job,  # jobs are locked first
    "contracts": _put_contract,
    "queues": _put_queue,
    "pools": _put_pool,  # a pool is locked last
}
KINDS = {"queue": "queues", "pool": "pools", "contract_quota": "contracts", "job": "jobs"}


def note_applied(work: Work, simulation_id: str) -> Change:
    """Note all that this unit of work has changed as one decision, by `kind name field`."""
    before, after = {}, {}
    for change in work.changes:
        for name in change.after:
            path = f"{KINDS[change.kind]} {change.object_id} {name}"
            before[path], after[path] = change.before[name], change.after[name]
    work.note_change(SIMULATION, simulation_id, before, after)
    return work.changes[-1]


async def read_applied(work: Work, done: Change) -> Mapping[str, Any]:
    """Read how what a simulation changed is set now, by the same paths."""
    named = [split_path(path) for path in done.after]
    asked = ({name for kind, name, _field in named if kind == of} for of in ("contracts", "jobs"))
    now = await read_settings(work, *asked)
    return {path: now[kind].get(name, {}).get(of) for path, (kind, name, of) in zip(done.after, named, strict=True)}


async def put_back_applied(work: Work, done: Change, reason: str) -> None:
    """Put back what a simulation changed."""
    before: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    after: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for path in done.after:
        kind, name, of = split_path(path)
        before[kind, name][of], after[kind, name][of] = done.before[path], done.after[path]
    for (kind, name), values in sorted(before.items(), key=_rank):
        if kind == "pools":
            await tuning.tune_pool(work, name, pool_changes.read_changes_back(values, after[kind, name], work.now))
        else:
            await PUTTING[kind](work, name, values, reason, Applied(done))
    note_applied(work, done.object_id)


def split_path(path: str) -> tuple[str, str, str]:
    """Split a path into kind, name and field; a name may have blanks. Pure."""
    kind, _, rest = path.partition(" ")
    name, _, of = rest.rpartition(" ")
    return kind, name, of
