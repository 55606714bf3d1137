"""Where customers' programs listen, what they were told, and each attempt to tell them."""

from typing import Annotated

from fastapi import Query

from broker.http.edge import AnyKey, CustomerWork, feature_router
from broker.http.paging import fetch_page
from broker.http.scopes import require_each
from broker.http.shapes import Cursor, Limit, OfCustomer, Page
from broker.identity.service import resolve_customer
from broker.webhooks import endpoints, replaying
from broker.webhooks.model import DeliveryStatus, EventType
from broker.webhooks.schemas import (
    AttemptOut,
    DeliveryOut,
    EndpointChangesIn,
    EndpointIn,
    EndpointOut,
    EventOut,
    NewEndpointOut,
    ReplayIn,
    ReplayOut,
    RotationIn,
)
from broker.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent

# What events tell is of these areas; of a key with scopes they are asked besides the route's own.
TOLD = ("billing:read", "training:read")

router = feature_router("", "webhooks")


@router.post("/webhook-endpoints", status_code=201)
async def create_webhook_endpoint(work: CustomerWork, body: EndpointIn) -> NewEndpointOut:
    """Name where a program listens. Its secret, which signs all that it is sent, is shown this once.

    A key with scopes needs `billing:read` and `training:read` besides: events tell of both.
    """
    require_each(work.actor, TOLD)
    customer_id = resolve_customer(work, body.customer_id)
    row, key = await endpoints.create_endpoint(work, body.read_endpoint(customer_id))
    return NewEndpointOut.of(row, secret=key)


@router.get("/webhook-endpoints")
async def list_webhook_endpoints(
    work: AnyKey, customer_id: OfCustomer = None, limit: Limit = 20, cursor: Cursor = None
) -> Page[EndpointOut]:
    """List where programs listen, newest first."""
    query = endpoints.select_endpoints(customer_id=customer_id)
    rows, after = await fetch_page(work.session, query, WebhookEndpoint, limit=limit, cursor=cursor)
    return Page(data=[EndpointOut.of(row) for row in rows], next_cursor=after)


@router.get("/webhook-endpoints/{endpoint_id}")
async def get_webhook_endpoint(work: AnyKey, endpoint_id: str) -> EndpointOut:
    return EndpointOut.of(await endpoints.get_endpoint(work, endpoint_id))


@router.patch("/webhook-endpoints/{endpoint_id}")
async def change_webhook_endpoint(work: CustomerWork, endpoint_id: str, body: EndpointChangesIn) -> EndpointOut:
    """Change where a program listens, or to what, or switch it off or on.

    A key with scopes needs `billing:read` and `training:read` besides: events tell of both.
    """
    require_each(work.actor, TOLD)
    return EndpointOut.of(await endpoints.change_endpoint(work, endpoint_id, body.read_changes()))


@router.delete("/webhook-endpoints/{endpoint_id}")
async def remove_webhook_endpoint(work: CustomerWork, endpoint_id: str) -> EndpointOut:
    """Send a program nothing more, and forget its secret."""
    return EndpointOut.of(await endpoints.remove_endpoint(work, endpoint_id))


@router.post("/webhook-endpoints/{endpoint_id}/rotate-secret")
async def rotate_webhook_secret(work: CustomerWork, endpoint_id: str, body: RotationIn) -> NewEndpointOut:
    """Give an endpoint another secret, shown this once; for a while what is sent carries the signatures of both."""
    row, key = await endpoints.rotate_secret(work, endpoint_id, body.overlap)
    return NewEndpointOut.of(row, secret=key)


@router.post("/webhook-endpoints/{endpoint_id}/test", status_code=202)
async def test_webhook_endpoint(work: CustomerWork, endpoint_id: str) -> DeliveryOut:
    """Send an endpoint a `webhook.test`; what came of it stands among its attempts a moment later."""
    return DeliveryOut.of(await replaying.send_test(work, endpoint_id))


@router.post("/webhook-endpoints/{endpoint_id}/replay", status_code=202)
async def replay_webhook_events(work: CustomerWork, endpoint_id: str, body: ReplayIn) -> ReplayOut:
    """Send an endpoint one event again, or all that it listens to since a moment; each keeps its id."""
    if body.event_id is not None:
        sent = await replaying.replay_event(work, endpoint_id, body.event_id)
    else:
        assert body.since is not None, "the body names one of both"
        sent = await replaying.replay_since(work, endpoint_id, body.since, body.until)
    endpoint = await endpoints.get_endpoint(work, endpoint_id)
    return ReplayOut(customer_id=endpoint.customer_id, endpoint_id=endpoint_id, events=len(sent))


@router.get("/webhook-endpoints/{endpoint_id}/deliveries")
async def list_webhook_deliveries(
    work: AnyKey,
    endpoint_id: str,
    status: Annotated[DeliveryStatus | None, Query(description="Only these.", examples=["failed"])] = None,
    event_id: Annotated[str | None, Query(description="Of this event.", examples=["evt_01k"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[DeliveryOut]:
    """List what an endpoint was sent or is to be sent, newest first."""
    await endpoints.get_endpoint(work, endpoint_id)
    query = replaying.select_deliveries(endpoint_id=endpoint_id, status=status, event_id=event_id)
    rows, after = await fetch_page(work.session, query, WebhookDelivery, limit=limit, cursor=cursor)
    return Page(data=[DeliveryOut.of(row) for row in rows], next_cursor=after)


@router.get("/webhook-endpoints/{endpoint_id}/attempts")
async def list_webhook_attempts(
    work: AnyKey,
    endpoint_id: str,
    delivery_id: Annotated[str | None, Query(description="Of this delivery.", examples=["whd_01k"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[AttemptOut]:
    """List the attempts to tell an endpoint something, newest first: what it answered, and how soon."""
    await endpoints.get_endpoint(work, endpoint_id)
    query = replaying.select_attempts(endpoint_id=endpoint_id, delivery_id=delivery_id)
    rows, after = await fetch_page(work.session, query, WebhookAttempt, limit=limit, cursor=cursor)
    return Page(data=[AttemptOut.of(row) for row in rows], next_cursor=after)


@router.get("/events")
async def list_events(
    work: AnyKey,
    customer_id: OfCustomer = None,
    type: Annotated[EventType | None, Query(description="Only these.", examples=["job.ended"])] = None,  # noqa: A002
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[EventOut]:
    """List what happened that an endpoint listened to, newest first, for as long as it can be replayed.

    A key with scopes needs `billing:read` and `training:read` besides.
    """
    require_each(work.actor, TOLD)
    query = replaying.select_events(customer_id=customer_id, type=type)
    rows, after = await fetch_page(work.session, query, WebhookEvent, limit=limit, cursor=cursor)
    return Page(data=[EventOut.of(row) for row in rows], next_cursor=after)


@router.get("/events/{event_id}")
async def get_event(work: AnyKey, event_id: str) -> EventOut:
    """Get an event. A key with scopes needs `billing:read` and `training:read` besides."""
    require_each(work.actor, TOLD)
    return EventOut.of(await replaying.get_event(work, event_id))
