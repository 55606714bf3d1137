"""Pushing what is due: claimed in one transaction, pushed in none, its outcome noted in another.

A push that was under way as its process died is made again once its lease is over. Each server is asked a little at a
time: one that is away keeps no other waiting. It is tried for as long as it is wanted.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, or_, select

from broker.adapters import service as adapters
from broker.adapters.exports import Exports, Layout, Source
from broker.addresses import read_networks
from broker.config import Settings
from broker.environments.model import (
    OPEN_STATES,
    EnvironmentStatus,
    Kind,
    PushState,
    ServesAs,
    compute_pause,
    name_served,
)
from broker.environments.servers import Artifact, Asker, Place, ServerFailed, open_server
from broker.environments.tables import Environment, EnvironmentPush
from broker.errors import InvalidRequest
from broker.persistence.folder_storage import FolderStorage
from broker.sealing import find_sealed
from broker.system import System
from broker.webhooks.sender import HttpSender
from broker.webhooks.under_way import UnderWay
from broker.work import Work

# An adapter of some gigabytes may take so long on its way, and into the memory of a GPU.
LONGEST_PUSH_SECONDS = 600.0
LEASE = timedelta(minutes=15)
MOST_AT_ONCE, MOST_TO_ONE = 16, 2
UNOPENED = "its token is sealed by another secret of the installation; name it anew"


@dataclass(frozen=True)
class Claimed:
    """A push to be made: where to, what it is to serve there (None: nothing), and under which names it may hold it."""

    push_id: str
    environment_id: str
    wanted_at: datetime
    place: Place | None
    is_of_staff: bool
    adapter_id: str | None
    artifact: Artifact | None
    served_as: str | None
    held: Sequence[str]


def open_asker(settings: Settings, *, is_of_staff: bool, longest_seconds: float = LONGEST_PUSH_SECONDS) -> HttpSender:
    """Open what asks servers: those that staff has named may be in the house's own networks."""
    allowed = settings.environment_networks if is_of_staff else settings.webhook_networks
    return HttpSender(read_networks(allowed), longest_seconds=longest_seconds)


@dataclass
class Pusher:
    """Pushes what is due, for one process. `asker`: in place of the network's own, for tests."""

    system: System
    asker: Asker | None = None
    exports: Exports = field(default_factory=Exports)
    under_way: UnderWay[Claimed] = field(default_factory=UnderWay)

    async def push_due(self) -> None:
        """Push until nothing is due and nothing under way."""
        await self.under_way.work_off(self._begin_due)

    async def _begin_due(self) -> None:
        for claimed in await self._claim():
            self.under_way.begin(self._attempt(claimed), claimed, name=f"push {claimed.push_id}")

    async def _claim(self) -> list[Claimed]:
        room = MOST_AT_ONCE - len(self.under_way)
        if room <= 0:
            return []
        async with self.system.work() as work:
            return await claim_due(work, room=room, under_way=self.under_way.list_kept())

    async def _attempt(self, claimed: Claimed) -> None:
        """Make a push, and note what came of it. Raises: nothing; what is not noted is made again."""
        try:
            failure = await self._push(claimed)
            async with self.system.work() as work:
                await note_outcome(work, claimed, failure)
        except Exception as error:  # noqa: BLE001 (it is made again once its lease is over)
            self.system.services.note_failure("noting a push to an environment", error)

    async def _push(self, claimed: Claimed) -> ServerFailed | None:
        try:
            await push(self.system, claimed, self.asker, self.exports)
        except ServerFailed as failure:
            return failure
        except Exception as error:  # noqa: BLE001 (an option that nobody thought of stops no other push)
            self.system.services.note_failure("pushing to an environment", error, (OSError,))
            return ServerFailed(f"the broker could not push it ({type(error).__name__}: {error})"[:300])
        return None


async def push(system: System, claimed: Claimed, asker: Asker | None, exports: Exports) -> None:
    """Have a server serve what it is to serve, then let go of what it is not. Raises: ServerFailed."""
    if claimed.place is None:
        raise ServerFailed(UNOPENED, is_refusal=True)
    own = asker or open_asker(system.services.settings, is_of_staff=claimed.is_of_staff)
    now = system.services.clock()
    server = open_server(claimed.place, own, now, push_id=claimed.push_id, wanted_at=claimed.wanted_at)
    if claimed.artifact is not None and claimed.served_as is not None:
        artifact = await lay_out(system, claimed.place, claimed.artifact, exports)
        artifact = await lay_down(claimed.place, artifact)
        await server.load(claimed.served_as, artifact)
    for name in claimed.held:
        if name != claimed.served_as:
            await server.unload(name)


async def lay_out(system: System, place: Place, artifact: Artifact, exports: Exports) -> Artifact:
    """Have an adapter in the layout that its server wants. Raises: ServerFailed, where it cannot be had."""
    layout = Layout(place.options.get("layout") or Layout.PEFT)
    if layout is Layout.PEFT or artifact.source is None:
        return artifact
    try:
        made = await exports.get(system.services, artifact.source, layout)
    except InvalidRequest as refusal:
        raise ServerFailed(refusal.detail, is_refusal=True) from refusal
    storage = system.services.storage
    size_bytes = await storage.size(made.storage_key)
    own = replace(artifact, sha256=made.sha256, size_bytes=size_bytes, layout=layout.value)
    return replace(own, open_file=lambda: storage.stream(made.storage_key))


async def lay_down(place: Place, artifact: Artifact) -> Artifact:
    """Write an adapter into the folder that a server reads, as peft names its files; what is there already stays."""
    folder = place.options.get("folder")
    if folder is None:
        return artifact
    own = Path(folder) / artifact.folder
    weights = own / "adapter_model.safetensors"
    if not weights.exists():
        own.mkdir(parents=True, exist_ok=True)
        aside = own / f".{weights.name}.{os.getpid()}.writing"
        try:
            with aside.open("wb") as file:
                async for chunk in artifact.open_file():
                    await asyncio.to_thread(file.write, chunk)
            config = await adapters.read_config_of(FolderStorage(own), aside.name)
            if config is not None:
                (own / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
            aside.replace(weights)
        finally:
            aside.unlink(missing_ok=True)
    return replace(artifact, path=str(Path(place.options.get("folder_there") or folder) / artifact.folder))


async def claim_due(work: Work, *, room: int, under_way: Collection[Claimed]) -> list[Claimed]:
    """Claim due pushes for as long as one may take, a few to each server."""
    busy = Counter(each.environment_id for each in under_way)
    full = [environment_id for environment_id, count in busy.items() if count >= MOST_TO_ONE]
    rows = (await work.session.execute(_select_due(work.now, full).limit(room))).all()
    kept = await adapters.load_kept(work, {push.adapter_id for push, _ in rows if push.adapter_id is not None})
    claimed: list[Claimed] = []
    for push_row, environment in rows:
        if busy[environment.id] < MOST_TO_ONE:
            busy[environment.id] += 1
            claimed.append(_claim_one(work, push_row, environment, kept.get(push_row.adapter_id or "")))
    return claimed


def _select_due(now: datetime, full: Collection[str]) -> Select[EnvironmentPush, Environment]:
    """Select what is due: of each server the oldest first, and the firsts of all servers before any second."""
    is_due = (
        EnvironmentPush.state.in_([state.value for state in OPEN_STATES]),
        EnvironmentPush.not_before <= now,
        or_(EnvironmentPush.leased_until.is_(None), EnvironmentPush.leased_until <= now),
        EnvironmentPush.environment_id.not_in(full),
    )
    order = (EnvironmentPush.not_before, EnvironmentPush.id)
    place = func.row_number().over(partition_by=EnvironmentPush.environment_id, order_by=order).label("place")
    ranked = select(EnvironmentPush.id, place).where(*is_due).subquery()
    return (
        select(EnvironmentPush, Environment)
        .join(ranked, ranked.c.id == EnvironmentPush.id)
        .join(Environment, Environment.id == EnvironmentPush.environment_id)
        .where(
            *is_due,  # said again of the row that is locked: another process may have claimed it meanwhile
            ranked.c.place <= MOST_TO_ONE,
            Environment.removed_at.is_(None),
            Environment.status == EnvironmentStatus.ENABLED.value,
        )
        .order_by(ranked.c.place, *order)
        .with_for_update(of=EnvironmentPush, skip_locked=True)
    )


def _claim_one(work: Work, row: EnvironmentPush, environment: Environment, adapter: Any | None) -> Claimed:
    """Claim a push: what its server may hold from now on is noted before it is asked."""
    served_as = None if adapter is None else name_for(environment, adapter)
    row.held = sorted({*row.held, *([] if served_as is None else [served_as])})
    row.attempts += 1
    row.leased_until = work.now + LEASE
    return Claimed(
        push_id=row.id,
        environment_id=environment.id,
        wanted_at=row.changed_at,
        place=open_place(environment, work.services.secret),
        is_of_staff=environment.is_of_staff,
        adapter_id=row.adapter_id,
        artifact=None if adapter is None else make_artifact(work, adapter),
        served_as=served_as,
        held=tuple(row.held),
    )


def name_for(environment: Environment, adapter: Any) -> str:
    """Name an adapter for an environment; where that serves several customers, its own comes first."""
    owner = adapter.customer_id if environment.customer_id is None else None
    serves_as = ServesAs(environment.serves_as)
    return name_served(serves_as, name=adapter.name, version=adapter.version, adapter_id=adapter.id, owner=owner)


def open_place(environment: Environment, secret: bytes) -> Place | None:
    """Open where a server is; None where its token cannot be unsealed."""
    token = None if environment.token is None else find_sealed(secret, environment.token)
    if environment.token is not None and token is None:
        return None
    return Place(Kind(environment.kind), environment.url, token, environment.options)


def make_artifact(work: Work, adapter: Any) -> Artifact:
    storage, key = work.storage, adapter.storage_key
    told = {name: getattr(adapter, name) for name in ("customer_id", "name", "version", "base_model", "sha256")}
    more = {"size_bytes": adapter.size_bytes, "source": Source.of(adapter)}
    return Artifact(adapter.id, open_file=lambda: storage.stream(key), **told, **more)


async def note_outcome(work: Work, claimed: Claimed, failure: ServerFailed | None) -> None:
    """Note what came of a push. Where something else is wanted meanwhile, that is still due."""
    row = await work.session.get(EnvironmentPush, claimed.push_id, with_for_update=True, populate_existing=True)
    if row is None:
        return
    row.leased_until = None
    is_current = row.adapter_id == claimed.adapter_id and row.changed_at == claimed.wanted_at
    if failure is not None:
        if is_current:
            row.state, row.error = PushState.FAILED.value, str(failure)
            row.not_before = work.now + compute_pause(row.attempts, is_refusal=failure.is_refusal)
        return
    row.live_adapter_id = None if claimed.artifact is None else claimed.adapter_id
    row.served_as = claimed.served_as
    row.held = sorted(set(row.held) - set(claimed.held) | ({claimed.served_as} if claimed.served_as else set()))
    row.live_at = work.now
    if is_current:
        row.error = None
        row.state = (PushState.GONE if claimed.served_as is None else PushState.LIVE).value
