"""Where customers' programs listen: named, changed, given another secret, switched off and on, removed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select, update

from broker import errors
from broker.addresses import check_url, read_networks
from broker.identity.service import get_project, lock_customer
from broker.persistence.database import narrow
from broker.sealing import find_sealed, reseal, seal
from broker.webhooks.model import ABOUT_JOBS, DeliveryStatus, DisabledFor, EndpointStatus, EventType, list_records
from broker.webhooks.signatures import make_secret
from broker.webhooks.tables import WebhookDelivery, WebhookEndpoint
from broker.work import Work

MOST_ENDPOINTS = 20


@dataclass(frozen=True)
class NewEndpoint:
    """An endpoint as it is named."""

    customer_id: str
    name: str
    url: str
    event_types: Sequence[EventType]
    project_id: str | None = None


@dataclass(frozen=True)
class EndpointChanges:
    """What is changed of an endpoint; None: stays as it is."""

    name: str | None = None
    url: str | None = None
    event_types: Sequence[EventType] | None = None
    status: EndpointStatus | None = None


async def create_endpoint(work: Work, new: NewEndpoint) -> tuple[WebhookEndpoint, str]:
    """Keep where a program listens; returns it, and its secret, which nothing shows again.

    Raises: NotFound, InvalidRequest.
    """
    await lock_customer(work, new.customer_id)
    await _check_project(work, new)
    check_url(new.url, read_networks(work.settings.webhook_networks))
    query = select(func.count()).select_from(select_endpoints(customer_id=new.customer_id).subquery())
    if (await work.session.scalar(query) or 0) >= MOST_ENDPOINTS:
        raise errors.invalid_field("customer_id", f"has {MOST_ENDPOINTS} endpoints, the most there may be; remove one")
    key = make_secret()
    row = WebhookEndpoint(
        id=work.new_id("whe"),
        customer_id=new.customer_id,
        project_id=new.project_id,
        name=new.name,
        url=new.url,
        event_types=_sort(new.event_types),
        records=list_records(new.event_types),
        secret=seal(work.services.secret, key),
        status=EndpointStatus.ENABLED.value,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return row, key


async def _check_project(work: Work, new: NewEndpoint) -> None:
    """Check that an endpoint of a project is one of its customer's, and chooses nothing that is of no project."""
    if new.project_id is None:
        return
    project = await get_project(work, new.project_id)
    if project.customer_id != new.customer_id:
        raise errors.NotFound("project", new.project_id)
    require_of_projects(new.event_types)


def require_of_projects(types: Iterable[EventType]) -> None:
    """Require that each of these types is of jobs, which are a project's. Pure. Raises: InvalidRequest."""
    others = sorted(kind.value for kind in types if kind not in ABOUT_JOBS)
    if others:
        raise errors.invalid_field(
            "event_types", f"has {', '.join(others)}, which is of no project; leave it out, or project_id"
        )


def _sort(types: Iterable[EventType]) -> list[str]:
    return sorted({kind.value for kind in types})


def select_endpoints(**wanted: str | None) -> Select[WebhookEndpoint]:
    """Select the endpoints that the actor sees, but for removed ones: all, or those with these values."""
    return narrow(select(WebhookEndpoint).where(WebhookEndpoint.removed_at.is_(None)), **wanted)


async def get_endpoint(work: Work, endpoint_id: str) -> WebhookEndpoint:
    """Get an endpoint. Raises: NotFound."""
    return await _get(work, select_endpoints().where(WebhookEndpoint.id == endpoint_id), endpoint_id)


async def lock_endpoint(work: Work, endpoint_id: str) -> WebhookEndpoint:
    """Lock an endpoint. Raises: NotFound."""
    query = select_endpoints().where(WebhookEndpoint.id == endpoint_id).with_for_update()
    return await _get(work, query.execution_options(populate_existing=True), endpoint_id)


async def _get(work: Work, query: Select[WebhookEndpoint], endpoint_id: str) -> WebhookEndpoint:
    row = await work.session.scalar(query)
    if row is None:
        raise errors.NotFound("webhook endpoint", endpoint_id)
    return row


async def change_endpoint(work: Work, endpoint_id: str, changes: EndpointChanges) -> WebhookEndpoint:
    """Change where a program listens, or to what, or switch it off or on; what is due goes on once it is on.

    Raises: NotFound, InvalidRequest.
    """
    row = await lock_endpoint(work, endpoint_id)
    if changes.url is not None:
        check_url(changes.url, read_networks(work.settings.webhook_networks))
    if changes.event_types is not None:
        if row.project_id is not None:
            require_of_projects(changes.event_types)
        row.event_types, row.records = _sort(changes.event_types), list_records(changes.event_types)
    row.url, row.name = changes.url or row.url, changes.name or row.name
    if changes.status == EndpointStatus.ENABLED:
        row.status, row.disabled_for, row.disabled_at, row.failing_since = (
            EndpointStatus.ENABLED.value,
            None,
            None,
            None,
        )
    elif changes.status == EndpointStatus.DISABLED:
        disable(row, DisabledFor.BY_HAND, work.now)
    await work.session.flush()
    return row


def disable(row: WebhookEndpoint, reason: DisabledFor, now: datetime) -> None:
    """Send a locked endpoint nothing more; one that is switched off stays so for its first reason."""
    if row.status == EndpointStatus.ENABLED:
        row.status, row.disabled_for, row.disabled_at = EndpointStatus.DISABLED.value, reason.value, now


async def remove_endpoint(work: Work, endpoint_id: str) -> WebhookEndpoint:
    """Remove an endpoint; its secrets are forgotten, and what is due to it is given up. Raises: NotFound."""
    row = await lock_endpoint(work, endpoint_id)
    await _remove(work, [row])
    return row


async def remove_all(work: Work, customer_id: str) -> list[WebhookEndpoint]:
    """Remove all endpoints of a customer, who leaves; returns them."""
    query = select_endpoints(customer_id=customer_id).order_by(WebhookEndpoint.id).with_for_update()
    rows = list(await work.session.scalars(query))
    await _remove(work, rows)
    return rows


async def _remove(work: Work, rows: Sequence[WebhookEndpoint]) -> None:
    for row in rows:
        row.removed_at, row.secret, row.former_secret, row.former_until = work.now, "", None, None
    is_theirs = WebhookDelivery.endpoint_id.in_([row.id for row in rows])
    due = (is_theirs, WebhookDelivery.status == DeliveryStatus.PENDING.value)
    given_up = {"status": DeliveryStatus.FAILED.value, "ended_at": work.now}
    await work.session.execute(update(WebhookDelivery).where(*due).values(given_up))
    await work.session.flush()


async def rotate_secret(work: Work, endpoint_id: str, overlap: timedelta) -> tuple[WebhookEndpoint, str]:
    """Give an endpoint another secret; until the overlap is over the former signs beside it. Raises: NotFound."""
    row = await lock_endpoint(work, endpoint_id)
    key = make_secret()
    row.former_secret, row.former_until = (row.secret, work.now + overlap) if overlap else (None, None)
    row.secret = seal(work.services.secret, key)
    await work.session.flush()
    return row, key


def list_keys(row: WebhookEndpoint, secret: bytes, now: datetime) -> list[str]:
    """List the keys that sign what is sent to an endpoint now, the newest first; none where they cannot be opened."""
    sealed = [row.secret]
    if row.former_secret is not None and row.former_until is not None and now < row.former_until:
        sealed.append(row.former_secret)
    return [key for each in sealed if (key := find_sealed(secret, each)) is not None]


async def list_disabled_since(work: Work, since: datetime) -> list[WebhookEndpoint]:
    """List the endpoints that were switched off since a moment, but for those by hand."""
    query = select_endpoints().where(WebhookEndpoint.disabled_at > since)
    return list(await work.session.scalars(query.where(WebhookEndpoint.disabled_for != DisabledFor.BY_HAND.value)))


async def reseal_secrets(work: Work, former: bytes) -> list[str]:
    """Seal the secrets of endpoints anew, by the present one; returns the endpoints whose secret neither can open."""
    lost = []
    for row in await work.session.scalars(select_endpoints().order_by(WebhookEndpoint.id).with_for_update()):
        sealed = reseal(former, work.services.secret, row.secret)
        row.secret = row.secret if sealed is None else sealed
        if row.former_secret is not None:
            row.former_secret = reseal(former, work.services.secret, row.former_secret) or row.former_secret
        lost += [row.id] if sealed is None else []
    await work.session.flush()
    return lost
