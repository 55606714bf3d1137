"""Promotions: a version becomes current of its name at a stage, one at a time; each is a record, and can be undone."""

from collections.abc import Collection

from sqlalchemy import Select, func, select

from broker import errors
from broker.adapters.model import Stage
from broker.adapters.tables import Adapter, AdapterPromotion, AdapterStage
from broker.persistence.database import narrow
from broker.work import Work

__all__ = [
    "AdapterPromotion",
    "AdapterStage",
    "get_current",
    "get_promotion",
    "list_current",
    "list_stages_of",
    "promote",
    "select_promotions",
    "select_stages",
    "take_all_turns",
    "undo",
    "withdraw",
    "withdraw_deleted",
]


async def promote(
    work: Work, adapter: Adapter, stage: Stage, *, reason: str | None, undoes: str | None = None
) -> AdapterPromotion:
    """Make an adapter current of its name at a stage; where it is already, its promotion is answered again.

    The adapter is one that the actor sees (`service.get_adapter`). Raises: NotFound, where it is deleted meanwhile;
    IllegalTransition, where the stage has its name for a project in which the actor does nothing.
    """
    await _take_turn(work, adapter.customer_id, adapter.name, stage)
    current = await _find_current(work, adapter.customer_id, adapter.name, stage)
    if current is not None and current.adapter_id == adapter.id:
        return await get_promotion(work, current.promotion_id)
    if current is None and await _is_anothers(work, adapter, stage):
        raise errors.IllegalTransition(
            f"{stage.value} has a {adapter.name} of another project, in which this key does not act; give the adapter "
            "another name, or ask whoever may act there."
        )
    await work.session.refresh(adapter, ["deleted_at"])
    if adapter.deleted_at is not None:
        raise errors.NotFound("adapter", adapter.id)
    return await _make_current(work, adapter, stage, current, reason=reason, undoes=undoes)


async def withdraw(
    work: Work, current: AdapterStage, *, reason: str | None, undoes: str | None = None
) -> AdapterPromotion:
    """Take a name from a stage: nothing of it is current there any more.

    `current` is one that the actor sees. Raises: IllegalTransition, where nothing is, or another became so meanwhile.
    """
    stage, meant = Stage(current.stage), current.adapter_id
    await _take_turn(work, current.customer_id, current.name, stage)
    await work.session.refresh(current)
    if current.adapter_id is None:
        raise errors.IllegalTransition(f"{stage.value} has no {current.name}; nothing was changed.")
    if current.adapter_id != meant:
        raise errors.IllegalTransition(f"{stage.value} has another {current.name} since; nothing was changed.")
    return await _record(work, current, None, reason=reason, undoes=undoes)


async def undo(work: Work, promotion_id: str, *, reason: str | None) -> AdapterPromotion:
    """Put back what was current before a promotion, which is the last one of its name at its stage.

    Raises: NotFound; ChangedSince, where another followed; NotUndoable, where what was before is deleted.
    """
    undone = await get_promotion(work, promotion_id)
    stage = Stage(undone.stage)
    await _take_turn(work, undone.customer_id, undone.name, stage)
    current = await _find_current(work, undone.customer_id, undone.name, stage)
    if current is None or current.promotion_id != undone.id:
        raise errors.ChangedSince(
            f"{undone.name} at {stage.value} was changed since by {current.promotion_id if current else 'another'}; "
            "undo that one, or promote the version that you want."
        )
    if undone.before_id is None:
        return await _record(work, current, None, reason=reason, undoes=undone.id)
    before = await work.session.get(Adapter, undone.before_id, populate_existing=True)
    if before is None or before.deleted_at is not None:
        raise errors.NotUndoable(f"{undone.before_id}, which was there before, is deleted; promote another version.")
    return await _record(work, current, before, reason=reason, undoes=undone.id)


async def withdraw_deleted(work: Work, adapter_ids: Collection[str]) -> None:
    """Take adapters that are being deleted from the stages at which they are current: their names' turns are taken."""
    query = select(AdapterStage).where(AdapterStage.adapter_id.in_(adapter_ids))
    for current in (await work.session.scalars(query.order_by(AdapterStage.id))).all():
        await withdraw(work, current, reason="it was deleted")


async def take_all_turns(work: Work, customer_ids: Collection[str]) -> None:
    """Let no promotion of some customers come between until this transaction ends.

    What is deleted is so kept from becoming current meanwhile, and what became current from being deleted.
    """
    for customer_id in sorted(set(customer_ids)):
        key = func.hashtextextended(f"promotions:{customer_id}", 0)
        await work.session.execute(select(func.pg_advisory_xact_lock(key)))


async def _take_turn(work: Work, customer_id: str, name: str, stage: Stage) -> None:
    """Let promotions of one name to one stage follow each other, also the first two, which have no row to lock.

    Whoever deletes adapters of the customer is waited for before that (`take_all_turns`).
    """
    of_customer = func.hashtextextended(f"promotions:{customer_id}", 0)
    await work.session.execute(select(func.pg_advisory_xact_lock_shared(of_customer)))
    own = func.hashtextextended(f"promotion:{customer_id}:{name}:{stage.value}", 0)
    await work.session.execute(select(func.pg_advisory_xact_lock(own)))


async def _find_current(work: Work, customer_id: str, name: str, stage: Stage) -> AdapterStage | None:
    return await work.session.scalar(
        select(AdapterStage)
        .where(AdapterStage.customer_id == customer_id, AdapterStage.name == name, AdapterStage.stage == stage.value)
        .execution_options(populate_existing=True)
    )


async def _is_anothers(work: Work, adapter: Adapter, stage: Stage) -> bool:
    """Tell whether a stage has the name for a project that the actor does not see, and which is not displaced."""
    if work.actor.projects is None:
        return False
    place = (adapter.customer_id, adapter.name, stage.value)
    stages = AdapterStage.__table__
    # Columns of the table itself: the session confines mapped classes to the projects of the actor.
    query = select(func.count()).where(
        stages.c.customer_id == place[0], stages.c.name == place[1], stages.c.stage == place[2]
    )
    return bool((await work.connection.execute(query)).scalar())


async def _make_current(
    work: Work,
    adapter: Adapter,
    stage: Stage,
    current: AdapterStage | None,
    *,
    reason: str | None,
    undoes: str | None,
) -> AdapterPromotion:
    if current is not None:
        return await _record(work, current, adapter, reason=reason, undoes=undoes)
    made = AdapterStage(
        id=work.new_id("stg"),
        customer_id=adapter.customer_id,
        name=adapter.name,
        stage=stage.value,
        changed_at=work.now,
    )
    return await _record(work, made, adapter, reason=reason, undoes=undoes)


async def _record(
    work: Work, current: AdapterStage, adapter: Adapter | None, *, reason: str | None, undoes: str | None
) -> AdapterPromotion:
    promotion = AdapterPromotion(
        id=work.new_id("prm"),
        customer_id=current.customer_id,
        project_id=current.project_id if adapter is None else adapter.project_id,
        name=current.name,
        stage=current.stage,
        adapter_id=None if adapter is None else adapter.id,
        before_id=current.adapter_id,
        undoes=undoes,
        reason=reason,
        actor_role=work.actor.role.value,
        actor_id=work.actor.id,
        created_at=work.now,
    )
    work.session.add(promotion)
    await work.session.flush()
    current.adapter_id, current.promotion_id, current.changed_at = promotion.adapter_id, promotion.id, work.now
    current.project_id = promotion.project_id
    work.session.add(current)
    await work.session.flush()
    return promotion


def select_promotions(**wanted: str | None) -> Select[AdapterPromotion]:
    """Select the promotions that the actor sees: all, or those with these values."""
    return narrow(select(AdapterPromotion), **wanted)


def select_stages(**wanted: str | None) -> Select[AdapterStage]:
    """Select what is current at stages, as the actor sees it: all, or that with these values."""
    return narrow(select(AdapterStage).where(AdapterStage.adapter_id.is_not(None)), **wanted)


async def get_promotion(work: Work, promotion_id: str) -> AdapterPromotion:
    """Get a promotion. Raises: NotFound."""
    promotion = await work.session.get(AdapterPromotion, promotion_id)
    if promotion is None:
        raise errors.NotFound("promotion", promotion_id)
    return promotion


async def get_current(work: Work, adapter: Adapter, stage: Stage) -> AdapterStage:
    """Get what makes an adapter current at a stage. Raises: IllegalTransition, where it is not."""
    current = await _find_current(work, adapter.customer_id, adapter.name, stage)
    if current is None or current.adapter_id != adapter.id:
        raise errors.IllegalTransition(f"{adapter.name} v{adapter.version} is not what {stage.value} has.")
    return current


async def list_current(work: Work, promotion_ids: Collection[str]) -> set[str]:
    """List those of some promotions that are the last ones of their names at their stages."""
    query = select(AdapterStage.promotion_id).where(AdapterStage.promotion_id.in_(promotion_ids))
    return set(await work.session.scalars(query))


async def list_stages_of(work: Work, adapter_ids: Collection[str]) -> dict[str, list[str]]:
    """List at which stages adapters are current, by their ids."""
    query = select(AdapterStage.adapter_id, AdapterStage.stage).where(AdapterStage.adapter_id.in_(adapter_ids))
    found: dict[str, list[str]] = {}
    for adapter_id, stage in await work.session.execute(query.order_by(AdapterStage.stage.desc())):
        found.setdefault(str(adapter_id), []).append(stage)
    return found
