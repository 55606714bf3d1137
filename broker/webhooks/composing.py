"""Making events of what the outbox has, and a delivery of each for every endpoint that listens to it."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import delete, select

from broker.jobs.service import find_projects
from broker.system import System
from broker.webhooks.model import DeliveryStatus, EndpointStatus, EventType, Happening, Source, list_types, make_data
from broker.webhooks.tables import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookOccurrence
from broker.work import Work

BATCH = 500


async def compose_events(system: System) -> int:
    """Make events of what has happened, a batch in a transaction; returns how many rows of the outbox are done."""
    done = 0
    while True:
        async with system.work() as work:
            count = await _compose_batch(work)
        done += count
        if count < BATCH:
            return done


async def _compose_batch(work: Work) -> int:
    """Take rows out of the outbox, the oldest first, and write what they tell; other processes take others."""
    query = select(WebhookOccurrence).order_by(WebhookOccurrence.id).limit(BATCH).with_for_update(skip_locked=True)
    rows = list(await work.session.scalars(query))
    if not rows:
        return 0
    projects = await _find_projects(work, rows)
    endpoints = await _list_endpoints(work, {row.customer_id for row in rows})
    told = [each for row in rows for each in _tell(work, row, projects, endpoints)]
    work.session.add_all([event for event, _listening in told])
    await work.session.flush()  # what is delivered stands before its deliveries, and all of each in one message
    work.session.add_all([make_delivery(work, event, each) for event, listening in told for each in listening])
    taken = [row.id for row in rows]
    await work.session.flush()
    await work.session.execute(delete(WebhookOccurrence).where(WebhookOccurrence.id.in_(taken)))
    return len(taken)


def _tell(
    work: Work, row: WebhookOccurrence, projects: dict[str, str | None], endpoints: Sequence[WebhookEndpoint]
) -> Iterator[tuple[WebhookEvent, list[WebhookEndpoint]]]:
    """Make the events of a row that somebody listens to, each with the endpoints that are sent it."""
    happening = Happening(Source(row.source), row.kind, row.object_id, row.data)
    project_id = projects.get(_find_job(row) or "")
    for kind in list_types(happening):
        event = make_event(work, row.customer_id, kind, make_data(happening, project_id), project_id)
        event.happened_at = row.happened_at
        listening = [each for each in endpoints if listens(each, event)]
        if listening:
            yield event, [each for each in listening if each.status == EndpointStatus.ENABLED]


def _find_job(row: WebhookOccurrence) -> str | None:
    """Find whose project an event is of; None where it is of no job."""
    return row.object_id if row.source == Source.JOB else row.data.get("job_id")


async def _find_projects(work: Work, rows: Sequence[WebhookOccurrence]) -> dict[str, str | None]:
    return await find_projects(work, {job_id for row in rows if (job_id := _find_job(row)) is not None})


async def _list_endpoints(work: Work, customer_ids: Collection[str]) -> list[WebhookEndpoint]:
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.customer_id.in_(customer_ids), WebhookEndpoint.removed_at.is_(None)
    )
    return list(await work.session.scalars(query.order_by(WebhookEndpoint.id)))


def listens(endpoint: WebhookEndpoint, event: WebhookEvent) -> bool:
    """Tell whether an endpoint is to hear of an event: its customer's, of its types, and of its project if any."""
    is_theirs = endpoint.customer_id == event.customer_id and endpoint.project_id in {None, event.project_id}
    return is_theirs and event.type in endpoint.event_types


def make_event(
    work: Work, customer_id: str, kind: EventType, data: dict[str, Any], project_id: str | None = None
) -> WebhookEvent:
    """Make an event of now."""
    return WebhookEvent(
        id=work.new_id("evt"),
        customer_id=customer_id,
        project_id=project_id,
        type=kind.value,
        data=data,
        happened_at=work.now,
        created_at=work.now,
    )


def make_delivery(work: Work, event: WebhookEvent, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Make the delivery of an event to an endpoint, due at once."""
    return WebhookDelivery(
        id=work.new_id("whd"),
        customer_id=event.customer_id,
        endpoint_id=endpoint.id,
        event_id=event.id,
        event_type=event.type,
        status=DeliveryStatus.PENDING.value,
        attempts=0,
        not_before=work.now,
        created_at=work.now,
    )
