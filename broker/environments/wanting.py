"""What environments are to serve: written down from what stages have, in whichever transaction changes either.

Nothing is pushed here. What was never written down, such as the withdrawal of an adapter that was deleted, is found by
the daemon, which compares all of it now and then.
"""

from typing import Any

from sqlalchemy import Select, and_, case, null, or_, select

from broker.adapters.promoting import AdapterStage
from broker.environments.model import EnvironmentStatus, PushState
from broker.environments.tables import Environment, EnvironmentPush
from broker.work import Work

BATCH = 500
# Environments of one project serve nothing of others, also where a name goes over to another one.
OF_ITS_PROJECT = or_(Environment.project_id.is_(None), Environment.project_id == AdapterStage.project_id)
WANTED = case((OF_ITS_PROJECT, AdapterStage.adapter_id), else_=null())


async def write_wanted(
    work: Work, *, customer_id: str | None = None, name: str | None = None, environment_id: str | None = None
) -> int:
    """Write what environments are to serve, of all customers and names or of these; returns how many pushes changed."""
    wanted = {AdapterStage.customer_id: customer_id, AdapterStage.name: name, Environment.id: environment_id}
    rows = (await work.session.execute(_select_changed(wanted).limit(BATCH))).all()
    for environment, push, stage, adapter_id in rows:
        kept = push or _make_push(work, environment, stage)
        kept.adapter_id, kept.project_id = adapter_id, stage.project_id
        want_again(work, kept)
        work.session.add(kept)
    await work.session.flush()
    return len(rows)


def _make_push(work: Work, environment: Environment, stage: AdapterStage) -> EnvironmentPush:
    return EnvironmentPush(
        id=work.new_id("psh"),
        customer_id=stage.customer_id,
        environment_id=environment.id,
        environment_name=environment.name,
        name=stage.name,
        stage=stage.stage,
        held=[],
        created_at=work.now,
    )


def want_again(work: Work, push: EnvironmentPush) -> None:
    """Have a push made from its beginning, at once."""
    push.state, push.error, push.attempts = PushState.PUSHING.value, None, 0
    push.not_before, push.changed_at = work.now, work.now


def _select_changed(wanted: dict[Any, str | None]) -> Select[Any]:
    """Select the environments that are to serve something else of a name than was written down last."""
    is_its = or_(Environment.customer_id.is_(None), Environment.customer_id == AdapterStage.customer_id)
    push = and_(
        EnvironmentPush.environment_id == Environment.id,
        EnvironmentPush.customer_id == AdapterStage.customer_id,
        EnvironmentPush.name == AdapterStage.name,
    )
    query = (
        select(Environment, EnvironmentPush, AdapterStage, WANTED)
        .join(AdapterStage, and_(AdapterStage.stage == Environment.stage, is_its))
        .outerjoin(EnvironmentPush, push)
        .where(
            Environment.removed_at.is_(None),
            Environment.status == EnvironmentStatus.ENABLED.value,
            EnvironmentPush.adapter_id.is_distinct_from(WANTED),
        )
    )
    for column, value in wanted.items():
        query = query if value is None else query.where(column == value)
    return query.order_by(Environment.id, AdapterStage.id)
