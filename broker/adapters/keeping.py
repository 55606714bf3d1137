"""How many versions of a name stay: by its customer's rule, else by that of ops; and which ones are over that."""

from collections.abc import Sequence

from sqlalchemy import Select, and_, any_, delete, func, not_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from broker.adapters.promoting import take_all_turns
from broker.adapters.tables import Adapter, AdapterPromotion, AdapterRetention, AdapterStage
from broker.audit.service import record_decision
from broker.http.decision import Decision
from broker.jobs.admitting.starting_points import select_goers_on
from broker.jobs.service import forget_adapters, select_succeeded_ids
from broker.persistence.database import narrow
from broker.work import Work

KEEP_TAG = "keep"


def select_rules(**wanted: str | None) -> Select[AdapterRetention]:
    """Select the rules of customers that the actor sees: all, or those with these values."""
    return narrow(select(AdapterRetention), **wanted)


async def set_rule(
    work: Work, customer_id: str, name: str | None, kept_versions: int | None
) -> AdapterRetention | None:
    """Set how many versions of a name stay, or of all names without a rule; None takes the rule back."""
    own = (AdapterRetention.customer_id == customer_id, AdapterRetention.name.is_not_distinct_from(name))
    if kept_versions is None:
        await work.session.execute(delete(AdapterRetention).where(*own))
        return None
    said = {"kept_versions": kept_versions, "changed_by": work.actor.id, "changed_at": work.now}
    row = {"id": work.new_id("art"), "customer_id": customer_id, "name": name, **said}
    setting = (
        insert(AdapterRetention).values(row).on_conflict_do_update(index_elements=["customer_id", "name"], set_=said)
    )
    await work.session.execute(setting)
    return (await work.session.scalars(select(AdapterRetention).where(*own))).one()


async def foresee_rule(work: Work, customer_id: str, name: str | None, kept_versions: int | None) -> Sequence[Adapter]:
    """Foresee which versions of a customer would go by a rule beside its others; the rule is not set."""
    kept_by_ops = work.settings.kept_adapter_versions
    async with work.session.begin_nested() as tried:
        await set_rule(work, customer_id, name, kept_versions)
        query = _select_superseded(kept_by_ops).where(Adapter.customer_id == customer_id)
        rows = (await work.session.scalars(query)).all()
        await tried.rollback()
    return rows


async def delete_superseded(work: Work, *, kept: int, limit: int, is_tried: bool = False) -> int:
    """Delete versions beyond those that stay, `kept` of a name where no customer says otherwise; returns how many.

    Their rows are marked and on record; the files go with the sweep of files. One that is only tried is on no record.
    """
    rows = (await work.session.scalars(_select_superseded(kept).limit(limit))).all()
    if rows and not is_tried:
        await take_all_turns(work, {row.customer_id for row in rows})
        again = _select_superseded(kept).where(Adapter.id.in_([row.id for row in rows]))
        rows = (await work.session.scalars(again)).all()
    for row in rows:
        row.deleted_at = work.now
    await work.session.flush()
    await forget_adapters(work, {row.job_id for row in rows})
    if not is_tried:
        await _record(work, rows)
    return len(rows)


async def _record(work: Work, rows: Sequence[Adapter]) -> None:
    """Record what was deleted, an entry for each customer."""
    for customer_id in sorted({row.customer_id for row in rows}):
        gone = [f"{row.name} v{row.version} {row.id}" for row in rows if row.customer_id == customer_id]
        await record_decision(work, Decision("sweep_adapters", None, customer_id, {"adapters": gone}))


async def count_kept_bytes(work: Work) -> int:
    """Count the bytes of all adapters that are kept."""
    query = select(func.coalesce(func.sum(Adapter.size_bytes), 0)).where(Adapter.deleted_at.is_(None))
    return int(await work.session.scalar(query) or 0)


def _select_superseded(kept_by_ops: int) -> Select[Adapter]:
    """Select the versions beyond the newest that stay, the oldest adapters first.

    Never one that a stage has or an undo would go back to, that a job goes on from which is not over, or that is tagged
    so.
    """
    own, general = aliased(AdapterRetention), aliased(AdapterRetention)
    place = func.row_number().over(partition_by=(Adapter.customer_id, Adapter.name), order_by=Adapter.version.desc())
    shown = (Adapter.deleted_at.is_(None), Adapter.job_id.in_(select_succeeded_ids()))
    ranked = select(Adapter.id, place.label("place")).where(*shown).subquery()
    kept = func.coalesce(own.kept_versions, general.kept_versions, kept_by_ops)
    is_current = (
        select(AdapterStage.id)
        .join(AdapterPromotion, AdapterPromotion.id == AdapterStage.promotion_id)
        .where(or_(AdapterStage.adapter_id == Adapter.id, AdapterPromotion.before_id == Adapter.id))
        .exists()
    )
    return (
        select(Adapter)
        .join(ranked, ranked.c.id == Adapter.id)
        .outerjoin(own, and_(own.customer_id == Adapter.customer_id, own.name == Adapter.name))
        .outerjoin(general, and_(general.customer_id == Adapter.customer_id, general.name.is_(None)))
        .where(
            kept > 0,
            ranked.c.place > kept,
            not_(any_(Adapter.tags) == KEEP_TAG),
            not_(is_current),
            not_(select_goers_on(Adapter.id).exists()),
        )
        .order_by(Adapter.id)
        .execution_options(populate_existing=True)
    )
