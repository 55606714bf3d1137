"""Looking at what servers have: one that came back without what it served, or with something else, gets it again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select

from broker.adapters import service as adapters
from broker.environments.model import EnvironmentStatus, Kind, PushState
from broker.environments.pushing import make_artifact, open_asker, open_place
from broker.environments.servers import Artifact, Asker, Place, Server, ServerFailed, open_server
from broker.environments.tables import Environment, EnvironmentPush
from broker.environments.wanting import want_again, write_wanted
from broker.system import System
from broker.work import Work

LONGEST_LOOK_SECONDS = 10.0
BATCH = 20
CAN_BE_ASKED = (Kind.TRAINER_SERVE, Kind.VLLM)


@dataclass(frozen=True)
class Look:
    """A server to be asked what it has, and what is thought to be live there: of each push, name and artifact."""

    environment_id: str
    is_of_staff: bool
    place: Place
    expected: Mapping[str, tuple[str, Artifact]]


async def look_at_all(system: System, asker: Asker | None = None) -> None:
    """Write what is wanted and was not written down, then ask each server that it is time to ask."""
    async with system.work() as work:
        await write_wanted(work)
    async with system.work() as work:
        looks = await _claim_looks(work)
    # All at once: one that takes its time, or answers what nobody can read, keeps no other waiting.
    await asyncio.gather(*(_look_safely(system, look, asker) for look in looks))


async def _look_safely(system: System, look: Look, asker: Asker | None) -> None:
    """Look at a server. Raises: nothing; it is looked at again."""
    try:
        await _look(system, look, asker)
    except Exception as error:  # noqa: BLE001 (what one server answers stops the look at no other)
        system.services.note_failure("looking at an environment", error)


async def _claim_looks(work: Work) -> list[Look]:
    """Claim the servers that were not asked for long; other processes ask others."""
    before = work.now - timedelta(seconds=work.settings.environment_seconds)
    query = (
        select(Environment)
        .where(
            Environment.removed_at.is_(None),
            Environment.status == EnvironmentStatus.ENABLED.value,
            Environment.kind.in_([kind.value for kind in CAN_BE_ASKED]),
            or_(Environment.looked_at.is_(None), Environment.looked_at <= before),
        )
        .order_by(Environment.looked_at.nulls_first(), Environment.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    looks = []
    for environment in await work.session.scalars(query):
        environment.looked_at = work.now
        place = open_place(environment, work.services.secret)
        live = await _list_live(work, environment.id)
        if place is not None and live:
            looks.append(Look(environment.id, environment.is_of_staff, place, live))
    return looks


async def _list_live(work: Work, environment_id: str) -> dict[str, tuple[str, Artifact]]:
    query = select(EnvironmentPush).where(
        EnvironmentPush.environment_id == environment_id, EnvironmentPush.state == PushState.LIVE.value
    )
    rows: Sequence[EnvironmentPush] = (await work.session.scalars(query)).all()
    kept = await adapters.load_kept(work, {row.live_adapter_id for row in rows if row.live_adapter_id is not None})
    found = {}
    for row in rows:
        adapter = kept.get(row.live_adapter_id or "")
        if adapter is not None and row.served_as is not None:
            found[row.id] = (row.served_as, make_artifact(work, adapter))
    return found


async def _look(system: System, look: Look, asker: Asker | None) -> None:
    """Ask a server what it has, and have pushed again what it lacks; note that it answers, or why not."""
    now = system.services.clock()
    own = asker or open_asker(
        system.services.settings, is_of_staff=look.is_of_staff, longest_seconds=LONGEST_LOOK_SECONDS
    )
    server = open_server(look.place, own, now, push_id="", wanted_at=now)
    try:
        served = await server.list_served()
    except ServerFailed as failure:
        async with system.work() as work:
            (await work.session.get_one(Environment, look.environment_id)).error = str(failure)
        return
    lacking = find_lacking(server, served or {}, look.expected)
    async with system.work() as work:
        environment = await work.session.get_one(Environment, look.environment_id)
        environment.answered_at, environment.error = work.now, None
        for push_id in lacking:
            push = await work.session.get(EnvironmentPush, push_id, with_for_update=True)
            if push is not None and push.state == PushState.LIVE:
                want_again(work, push)


def find_lacking(
    server: Server, served: Mapping[str, str], expected: Mapping[str, tuple[str, Artifact]]
) -> Sequence[str]:
    """Find the pushes whose adapter a server does not serve, or serves in other bytes. Pure."""
    return [push_id for push_id, (name, artifact) in expected.items() if served.get(name) != server.mark(artifact)]
