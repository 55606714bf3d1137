"""Environments named, changed, switched off and on, removed; and what is pushed to them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Select, delete, func, select, tuple_

from broker import errors
from broker.adapters.promoting import AdapterPromotion
from broker.addresses import check_url, read_networks
from broker.environments.model import EnvironmentStatus, Kind, PushState, ServesAs
from broker.environments.tables import Environment, EnvironmentPush
from broker.environments.wanting import want_again, write_wanted
from broker.identity.service import get_project, lock_customer
from broker.persistence.database import narrow
from broker.sealing import reseal, seal
from broker.webhooks.signatures import is_secret, make_secret
from broker.work import STAFF, Work

MOST_ENVIRONMENTS = 20


@dataclass(frozen=True)
class NewEnvironment:
    """An environment as it is named; without a customer it is the house's, and serves all."""

    customer_id: str | None
    name: str
    stage: str
    kind: Kind
    url: str
    serves_as: ServesAs
    options: Mapping[str, Any]
    token: str | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class EnvironmentChanges:
    """What is changed of an environment; None: stays as it is."""

    name: str | None = None
    url: str | None = None
    token: str | None = None
    options: Mapping[str, Any] | None = None
    status: EnvironmentStatus | None = None


async def create_environment(work: Work, new: NewEnvironment) -> tuple[Environment, str | None]:
    """Keep where a server is; what its stage has is pushed to it. Returns it, and the secret that was made for it.

    Raises: NotFound, InvalidRequest.
    """
    if new.customer_id is not None:
        await lock_customer(work, new.customer_id)
    elif work.actor.role not in STAFF:
        raise errors.Forbidden("An environment of the house is named by its staff.")
    await _check(work, new)
    is_of_staff = work.actor.role in STAFF
    _check_place(work, new.url, new.options, is_of_staff=is_of_staff)
    made = make_secret() if new.kind is Kind.WEBHOOK and new.token is None else None
    token = made or new.token
    row = Environment(
        id=work.new_id("env"),
        customer_id=new.customer_id,
        project_id=new.project_id,
        name=new.name,
        stage=new.stage,
        kind=new.kind.value,
        url=new.url,
        serves_as=new.serves_as.value,
        options=dict(new.options),
        token=None if token is None else seal(work.services.secret, token),
        is_of_staff=is_of_staff,
        status=EnvironmentStatus.ENABLED.value,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    await write_wanted(work, environment_id=row.id)
    return row, made


async def _check(work: Work, new: NewEnvironment) -> None:
    """Check whose it is, and that there are not too many. Raises: NotFound, InvalidRequest."""
    if new.project_id is not None:
        project = await get_project(work, new.project_id)
        if project.customer_id != new.customer_id:
            raise errors.NotFound("project", new.project_id)
    query = select(func.count()).select_from(Environment).where(Environment.removed_at.is_(None))
    own = query.where(Environment.customer_id.is_not_distinct_from(new.customer_id))
    if (await work.session.scalar(own) or 0) >= MOST_ENVIRONMENTS:
        raise errors.invalid_field("name", f"is one too many: there are {MOST_ENVIRONMENTS}, remove one")


def _check_place(work: Work, url: str, options: Mapping[str, Any], *, is_of_staff: bool) -> None:
    """Check where a server is: in the house's networks and folders only as staff says. Raises: InvalidRequest."""
    allowed = work.settings.environment_networks if is_of_staff else work.settings.webhook_networks
    check_url(url, read_networks(allowed))
    if options.get("folder") is not None and not is_of_staff:
        raise errors.invalid_field("options.folder", "is of this broker's machine, and is named by staff alone")


def select_environments(**wanted: str | None) -> Select[Environment]:
    """Select the environments that the actor sees, but for removed ones: all, or those with these values."""
    return narrow(select(Environment).where(Environment.removed_at.is_(None)), **wanted)


def select_of_house() -> Select[Environment]:
    """Select the environments that staff has named, for all customers or for one, but for removed ones."""
    return select_environments().where(Environment.is_of_staff.is_(True))


def select_pushes(**wanted: str | None) -> Select[EnvironmentPush]:
    """Select the pushes that the actor sees: all, or those with these values."""
    return narrow(select(EnvironmentPush), **wanted)


async def list_pushes_of(
    work: Work, places: Collection[AdapterPromotion]
) -> dict[tuple[str, str, str], list[EnvironmentPush]]:
    """List the pushes of names at stages, by customer, name and stage."""
    if not places:
        return {}
    wanted = {(place.customer_id, place.name, place.stage) for place in places}
    place = tuple_(EnvironmentPush.customer_id, EnvironmentPush.name, EnvironmentPush.stage)
    query = select(EnvironmentPush).where(place.in_(wanted)).order_by(EnvironmentPush.id)
    found: dict[tuple[str, str, str], list[EnvironmentPush]] = {}
    for row in await work.session.scalars(query):
        found.setdefault((row.customer_id, row.name, row.stage), []).append(row)
    return found


@dataclass(frozen=True)
class Served:
    """What an environment serves, or is to: what was said last, name by name, and how many names are in each state."""

    newest: Sequence[EnvironmentPush]
    counts: Mapping[PushState, int]

    @property
    def more(self) -> int:
        """Count the names that are not among the newest."""
        return sum(self.counts.values()) - len(self.newest)


async def sum_up_pushes(work: Work, environment_ids: Collection[str], *, most: int) -> dict[str, Served]:
    """Sum up the pushes to some environments: of each the newest `most`, and how many there are in each state."""
    of_these = EnvironmentPush.environment_id.in_(environment_ids)
    by_state = select(EnvironmentPush.environment_id, EnvironmentPush.state, func.count()).where(of_these)
    counts: dict[str, dict[PushState, int]] = {each: {} for each in environment_ids}
    for environment_id, state, count in await work.session.execute(
        by_state.group_by(EnvironmentPush.environment_id, EnvironmentPush.state)
    ):
        counts[environment_id][PushState(state)] = count
    order = EnvironmentPush.changed_at.desc(), EnvironmentPush.id.desc()
    place = func.row_number().over(partition_by=EnvironmentPush.environment_id, order_by=order)
    ranked = select(EnvironmentPush.id, place.label("place")).where(of_these).subquery()
    newest: dict[str, list[EnvironmentPush]] = {each: [] for each in environment_ids}
    query = select(EnvironmentPush).where(EnvironmentPush.id.in_(select(ranked.c.id).where(ranked.c.place <= most)))
    for row in await work.session.scalars(query.order_by(*order)):
        newest[row.environment_id].append(row)
    return {each: Served(newest[each], counts[each]) for each in environment_ids}


async def get_environment(work: Work, environment_id: str) -> Environment:
    """Get an environment. Raises: NotFound."""
    row = await work.session.scalar(select_environments().where(Environment.id == environment_id))
    if row is None:
        raise errors.NotFound("environment", environment_id)
    return row


async def _lock(work: Work, environment_id: str) -> Environment:
    """Lock an environment to change it: of the house's only staff. Raises: NotFound, Forbidden."""
    query = select_environments().where(Environment.id == environment_id).with_for_update()
    seen = await get_environment(work, environment_id)
    if work.actor.role not in STAFF and seen.is_of_staff:
        raise errors.Forbidden(f"{environment_id} was named by the house, and is changed by its staff.")
    row = await work.session.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise errors.NotFound("environment", environment_id)
    return row


async def change_environment(work: Work, environment_id: str, changes: EnvironmentChanges) -> Environment:
    """Change where a server is, what authenticates us there, or switch it off or on; what it lacks is pushed again.

    Raises: NotFound, Forbidden, InvalidRequest.
    """
    row = await _lock(work, environment_id)
    options = row.options if changes.options is None else dict(changes.options)
    _check_place(work, changes.url or row.url, options, is_of_staff=row.is_of_staff)
    _check_changes(row, changes)
    row.url, row.name, row.options = changes.url or row.url, changes.name or row.name, options
    if changes.token is not None:
        row.token = seal(work.services.secret, changes.token)
    if changes.status is not None:
        row.status = changes.status.value
    await work.session.flush()
    await write_wanted(work, environment_id=row.id)
    for push in await work.session.scalars(select_pushes(environment_id=row.id).with_for_update()):
        push.environment_name = row.name
        is_elsewhere = changes.url is not None or changes.options is not None
        if is_elsewhere or push.state == PushState.FAILED:
            want_again(work, push)
    await work.session.flush()
    return row


def _check_changes(row: Environment, changes: EnvironmentChanges) -> None:
    """Check that an environment stays one of its kind, and that its token goes where it was meant for alone.

    Who may name another address may so not have the token sent there, which nobody is shown. What signs for a webhook
    is never sent. Raises: InvalidRequest.
    """
    kind = Kind(row.kind)
    if kind is Kind.WEBHOOK and changes.token is not None and not is_secret(changes.token):
        raise errors.invalid_field("token", "is no secret of a webhook; one begins with whsec_")
    if changes.options is not None and (kind is Kind.HTTP) != ("load" in changes.options):
        raise errors.invalid_field("options.load", "goes with kind http, and is needed there")
    is_sent = kind is not Kind.WEBHOOK and row.token is not None
    if is_sent and changes.url is not None and changes.token is None and _origin_of(changes.url) != _origin_of(row.url):
        raise errors.invalid_field(
            "token", "is kept for another server, and is not sent to this one; name the token of this one with its url"
        )


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Tell which server a URL leads to that was checked."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


async def remove_environment(work: Work, environment_id: str) -> Environment:
    """Remove an environment: it keeps what it serves, and is told nothing more. Raises: NotFound, Forbidden."""
    row = await _lock(work, environment_id)
    row.removed_at, row.token = work.now, None
    await work.session.execute(delete(EnvironmentPush).where(EnvironmentPush.environment_id == row.id))
    await work.session.flush()
    return row


async def remove_all(work: Work, customer_id: str) -> list[Environment]:
    """Remove the environments that a customer has named, who leaves, and forget their tokens; returns them.

    One that the house has named for it stays: it is still told to let go of what is deleted.
    """
    own = select_environments(customer_id=customer_id).where(Environment.is_of_staff.is_(False))
    rows = list(await work.session.scalars(own.order_by(Environment.id).with_for_update()))
    for row in rows:
        row.removed_at, row.token = work.now, None
    gone = EnvironmentPush.environment_id.in_([row.id for row in rows])
    await work.session.execute(delete(EnvironmentPush).where(gone))
    await work.session.flush()
    return rows


async def push_again(work: Work, environment_id: str) -> int:
    """Push all that an environment is to serve once more; returns how many. Raises: NotFound, Forbidden."""
    row = await _lock(work, environment_id)
    await write_wanted(work, environment_id=row.id)
    pushes = (await work.session.scalars(select_pushes(environment_id=row.id).with_for_update())).all()
    for push in pushes:
        want_again(work, push)
    await work.session.flush()
    return len(pushes)


async def reseal_tokens(work: Work, former: bytes) -> list[str]:
    """Seal the tokens of environments anew, by the present secret; returns those that neither can open."""
    lost = []
    for row in await work.session.scalars(select_environments().order_by(Environment.id).with_for_update()):
        if row.token is not None:
            sealed = reseal(former, work.services.secret, row.token)
            row.token = row.token if sealed is None else sealed
            lost += [row.id] if sealed is None else []
    await work.session.flush()
    return lost
