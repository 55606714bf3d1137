"""Events that are sent by hand: a test, one once more, or all since a moment. They keep their ids."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, select

from broker import errors
from broker.persistence.database import narrow
from broker.system import System
from broker.webhooks.composing import listens, make_delivery, make_event
from broker.webhooks.endpoints import lock_endpoint
from broker.webhooks.model import DeliveryStatus, EndpointStatus, EventType
from broker.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from broker.work import Work

MOST_REPLAYED = 1000
BATCH = 500


async def send_test(work: Work, endpoint_id: str) -> WebhookDelivery:
    """Send an endpoint a test, which tells of nothing. Raises: NotFound; IllegalTransition, where it is disabled."""
    endpoint = await _lock_enabled(work, endpoint_id)
    event = make_event(work, endpoint.customer_id, EventType.WEBHOOK_TEST, {"endpoint_id": endpoint.id})
    work.session.add(event)
    await work.session.flush()
    delivery = make_delivery(work, event, endpoint)
    work.session.add(delivery)
    await work.session.flush()
    return delivery


async def _lock_enabled(work: Work, endpoint_id: str) -> WebhookEndpoint:
    endpoint = await lock_endpoint(work, endpoint_id)
    if endpoint.status != EndpointStatus.ENABLED:
        raise errors.IllegalTransition(
            f"Webhook endpoint {endpoint_id} is disabled and is sent nothing; enable it first.",
            status_before=endpoint.status,
        )
    return endpoint


async def replay_event(work: Work, endpoint_id: str, event_id: str) -> list[WebhookDelivery]:
    """Send an endpoint an event of its customer once more, whatever it listens to now.

    Raises: NotFound; IllegalTransition, where the endpoint is switched off.
    """
    endpoint = await _lock_enabled(work, endpoint_id)
    event = await get_event(work, event_id)
    if event.customer_id != endpoint.customer_id:
        raise errors.NotFound("event", event_id)
    return await _send_again(work, endpoint, [event])


async def replay_since(work: Work, endpoint_id: str, since: datetime, until: datetime | None) -> list[WebhookDelivery]:
    """Send an endpoint all that it listens to once more that happened since a moment.

    Raises: NotFound; IllegalTransition, where it is switched off; InvalidRequest, where that is too much at once.
    """
    endpoint = await _lock_enabled(work, endpoint_id)
    query = select_events(customer_id=endpoint.customer_id).where(
        WebhookEvent.happened_at >= since,
        WebhookEvent.happened_at < (until or work.now + timedelta(seconds=1)),
        WebhookEvent.type.in_(endpoint.event_types),
    )
    if endpoint.project_id is not None:
        query = query.where(WebhookEvent.project_id == endpoint.project_id)
    found = list(await work.session.scalars(query.order_by(WebhookEvent.id).limit(MOST_REPLAYED + 1)))
    if len(found) > MOST_REPLAYED:
        raise errors.invalid_field(
            "until", f"is to be sooner: more than {MOST_REPLAYED} events happened since; replay them in parts"
        )
    return await _send_again(work, endpoint, [event for event in found if listens(endpoint, event)])


async def _send_again(work: Work, endpoint: WebhookEndpoint, events: Sequence[WebhookEvent]) -> list[WebhookDelivery]:
    ids = [event.id for event in events]
    query = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.event_id.in_(ids))
    earlier = {row.event_id: row for row in await work.session.scalars(query.with_for_update())}
    for row in earlier.values():
        row.status, row.attempts, row.not_before, row.ended_at = DeliveryStatus.PENDING.value, 0, work.now, None
    new = [make_delivery(work, event, endpoint) for event in events if event.id not in earlier]
    work.session.add_all(new)
    await work.session.flush()
    return sorted([*earlier.values(), *new], key=lambda row: row.event_id)


async def get_event(work: Work, event_id: str) -> WebhookEvent:
    """Get an event. Raises: NotFound."""
    event = await work.session.get(WebhookEvent, event_id)
    if event is None:
        raise errors.NotFound("event", event_id)
    return event


def select_events(**wanted: str | None) -> Select[WebhookEvent]:
    """Select events that the actor sees: all, or those with these values."""
    return narrow(select(WebhookEvent), **wanted)


def select_deliveries(**wanted: str | None) -> Select[WebhookDelivery]:
    """Select deliveries that the actor sees: all, or those with these values."""
    return narrow(select(WebhookDelivery), **wanted)


def select_undelivered(endpoint_id: str) -> Select[WebhookDelivery]:
    """Select what has not reached an endpoint: what is tried again, and what was given up."""
    query = select_deliveries(endpoint_id=endpoint_id)
    return query.where(WebhookDelivery.status != DeliveryStatus.DELIVERED.value, WebhookDelivery.attempts > 0)


def select_attempts(**wanted: str | None) -> Select[WebhookAttempt]:
    """Select attempts that the actor sees: all, or those with these values."""
    return narrow(select(WebhookAttempt), **wanted)


async def forget_events(system: System) -> None:
    """Forget what is too old to be replayed, a batch in a transaction."""
    before = system.services.clock() - timedelta(days=system.services.settings.webhook_event_days)
    while True:
        async with system.work() as work:
            if await forget_old_events(work, before=before, limit=BATCH) < BATCH:
                return


async def forget_old_events(work: Work, *, before: datetime, limit: int) -> int:
    """Delete events of before a moment with their deliveries and attempts; returns how many events."""
    old = select(WebhookEvent.id).where(WebhookEvent.created_at < before).order_by(WebhookEvent.created_at).limit(limit)
    ids = list(await work.session.scalars(old))
    await work.session.execute(delete(WebhookDelivery).where(WebhookDelivery.event_id.in_(ids)))
    await work.session.execute(delete(WebhookEvent).where(WebhookEvent.id.in_(ids)))
    return len(ids)
