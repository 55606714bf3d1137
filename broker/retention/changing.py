"""Rules of retention as ops sets them, and what a sweep by them would remove before it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from broker.adapters import keeping
from broker.http.versions import require_version
from broker.jobs.running import checkpoints
from broker.retention.files import count_files, list_left_over
from broker.retention.model import Removed
from broker.retention.rules import RULES, Rules
from broker.retention.service import Step, list_steps, read_changed
from broker.retention.tables import RetentionRule
from broker.system import System
from broker.work import Work

MOST_PREVIEWED = 20_000  # rows of one kind


@dataclass(frozen=True)
class Foreseen:
    """What would go of one kind; `is_more`: there is more of it than was looked at."""

    kind: str
    removed: Removed
    is_more: bool = False


class _TakenBack(Exception):
    """A step was done to be counted, and is rolled back."""

    def __init__(self, removed: Removed) -> None:
        self.removed = removed
        super().__init__()


async def list_rules(work: Work) -> list[RetentionRule]:
    """List the rules that ops has set, by name."""
    return list((await work.session.scalars(select(RetentionRule).order_by(RetentionRule.name))).all())


def list_set_by_ops(changed: Mapping[str, float]) -> dict[str, float | None]:
    """List what ops has set, by name; None: the operator's setting holds. Pure."""
    return {name: changed.get(name) for name in RULES}


async def change_rules(work: Work, changes: Mapping[str, float | None], seen: str | None = None) -> None:
    """Set rules by their names; None gives a rule back to its setting. One that is set anew as it is stays so.

    `seen`: the version looked at; who changes rules takes turns. Raises: VersionMismatch.
    """
    await work.session.execute(select(func.pg_advisory_xact_lock(func.hashtext("retention_rules"))))
    before = await read_changed(work)
    require_version(seen, list_set_by_ops(before), changes, what=("set of", "retention rules"))
    for name, value in changes.items():
        assert name in RULES, "the request's shape has no other"
        if value is None:
            await work.session.execute(delete(RetentionRule).where(RetentionRule.name == name))
        elif before.get(name) != value:
            row = {"value": value, "changed_by": work.actor.id, "changed_at": work.now}
            setting = insert(RetentionRule).values(name=name, **row)
            await work.session.execute(setting.on_conflict_do_update(index_elements=["name"], set_=row))


async def foresee_sweep(system: System, changes: Mapping[str, float | None]) -> list[Foreseen]:
    """Foresee what the next sweep would remove by the rules as they are, with some of them changed.

    Each step is done and rolled back, so that what is told is what the sweep itself does. What lies on the machines of
    engines is not looked at.
    """
    async with system.work() as work:
        kept = {name: value for name, value in (await read_changed(work)).items() if name not in changes}
        changed = kept | {name: value for name, value in changes.items() if value is not None}
        rules = Rules.of(work.settings, work.now, changed)
    foreseen = [await _foresee(system, step) for step in list_steps(rules, MOST_PREVIEWED)]
    files = Removed()
    async for batch in list_left_over(system, before=rules.orphans):
        files += count_files(batch)
    return [*foreseen, Foreseen("files", files)]


def _take_back(removed: Removed) -> NoReturn:
    raise _TakenBack(removed)


async def _count_kept_bytes(work: Work) -> int:
    return await checkpoints.count_kept_bytes(work) + await keeping.count_kept_bytes(work)


async def _foresee(system: System, step: Step) -> Foreseen:
    try:
        async with system.work() as work:
            before = await _count_kept_bytes(work)
            count = await step.act(work)
            freed = before - await _count_kept_bytes(work)
            _take_back(Removed(count, freed))
    except _TakenBack as done:
        return Foreseen(step.kind, done.removed, is_more=done.removed.count >= step.most)
