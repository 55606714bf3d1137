"""Sending what is due: claimed in one transaction, sent in none, its outcome noted in another.

An attempt that was under way as its process died is made again once its lease is over: a receiver may get an event
twice, and knows it by its id.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any

from sqlalchemy import func, select, true
from sqlalchemy.orm import aliased

from broker.system import System
from broker.webhooks.endpoints import disable, list_keys
from broker.webhooks.model import (
    DeliveryStatus,
    DisabledFor,
    EndpointStatus,
    compute_pause,
    is_failing_for_good,
)
from broker.webhooks.sender import GONE, Answer, Sender
from broker.webhooks.signatures import write_headers
from broker.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from broker.work import Work

log = logging.getLogger(__name__)

# So many attempts of one process are under way at once, and of those so many to one endpoint: a slow one keeps few.
MOST_AT_ONCE = 32
MOST_TO_ONE = 4
# So long a process may take for an attempt; then another one makes it.
LEASE = timedelta(minutes=2)
LOOK_SECONDS = 0.5
UNSIGNED = "its secret is sealed by another secret of the installation; give the endpoint a new one"


@dataclass(frozen=True)
class Claimed:
    """An attempt to be made: of which delivery, where to, and what."""

    delivery_id: str
    endpoint_id: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Deliverer:
    """Sends what is due, for one process. What is slow keeps nothing else from being sent."""

    system: System
    sender: Sender
    under_way: dict[asyncio.Task[None], str] = field(default_factory=dict)

    async def deliver_due(self) -> None:
        """Send until nothing is due and nothing under way."""
        try:
            while True:
                for claimed in await self._claim():
                    task = asyncio.create_task(self._attempt(claimed), name=f"webhook {claimed.delivery_id}")
                    self.under_way[task] = claimed.endpoint_id
                if not self.under_way:
                    return
                wait = asyncio.wait(self.under_way, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in (await wait)[0]:
                    del self.under_way[task]
                    task.result()
        except BaseException:
            await self._stop()
            raise

    async def _stop(self) -> None:
        tasks = list(self.under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.under_way.clear()

    async def _claim(self) -> list[Claimed]:
        """Claim what is due, as much as there is room for, a few to each endpoint."""
        room = MOST_AT_ONCE - len(self.under_way)
        if room <= 0:
            return []
        async with self.system.work() as work:
            busy = Counter(self.under_way.values())
            full = [endpoint_id for endpoint_id, count in busy.items() if count >= MOST_TO_ONE]
            return await claim_due(work, room=room, without=full)

    async def _attempt(self, claimed: Claimed) -> None:
        began = time.monotonic()
        if "webhook-signature" in claimed.headers:
            answer = await self.sender.post(claimed.url, claimed.headers, claimed.body, self.system.services.clock())
        else:
            answer = Answer(None, error=UNSIGNED)
        duration_ms = round((time.monotonic() - began) * 1000)
        async with self.system.work() as work:
            await note_answer(work, claimed.delivery_id, answer, duration_ms)


async def claim_due(work: Work, *, room: int, without: list[str]) -> list[Claimed]:
    """Claim due deliveries for as long as an attempt may take, the longest due first, signed as of now."""
    due = (
        select(WebhookDelivery.id)
        .where(
            WebhookDelivery.endpoint_id == WebhookEndpoint.id,
            WebhookDelivery.status == DeliveryStatus.PENDING.value,
            WebhookDelivery.not_before <= work.now,
        )
        .order_by(WebhookDelivery.not_before, WebhookDelivery.id)
        .limit(MOST_TO_ONE)
        .lateral("due")
    )
    waiting = aliased(WebhookDelivery)
    has_due = select(waiting.endpoint_id).where(
        waiting.status == DeliveryStatus.PENDING.value, waiting.not_before <= work.now
    )
    ids = (
        select(due.c.id)
        .select_from(WebhookEndpoint)
        .join(due, true())
        .where(
            WebhookEndpoint.status == EndpointStatus.ENABLED.value,
            WebhookEndpoint.removed_at.is_(None),
            WebhookEndpoint.id.in_(has_due),
            WebhookEndpoint.id.not_in(without),
        )
    )
    query = (
        select(WebhookDelivery, WebhookEvent, WebhookEndpoint)
        .join(WebhookEvent, WebhookEvent.id == WebhookDelivery.event_id)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(
            WebhookDelivery.id.in_(ids),
            # Said again of the row that is locked: another process may have claimed it meanwhile.
            WebhookDelivery.status == DeliveryStatus.PENDING.value,
            WebhookDelivery.not_before <= work.now,
        )
        .order_by(WebhookDelivery.not_before, WebhookDelivery.id)
        .limit(room)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
    )
    return [_claim_one(work, *found) for found in (await work.session.execute(query)).all()]


def _claim_one(work: Work, delivery: WebhookDelivery, event: WebhookEvent, endpoint: WebhookEndpoint) -> Claimed:
    delivery.attempts += 1
    delivery.not_before = work.now + LEASE
    body = write_body(event)
    keys = list_keys(endpoint, work.services.secret, work.now)
    headers = write_headers(event.id, work.now, body, keys) if keys else {}
    return Claimed(delivery.id, endpoint.id, endpoint.url, headers, body)


def write_body(event: WebhookEvent) -> bytes:
    """Write what is sent of an event: the same bytes at each attempt."""
    moment = event.happened_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    told: dict[str, Any] = {"type": event.type, "timestamp": moment, "data": event.data}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


async def note_answer(work: Work, delivery_id: str, answer: Answer, duration_ms: int) -> None:
    """Note what came of an attempt: taken, tried again later, given up; and how its endpoint stands."""
    delivery = await work.session.get(WebhookDelivery, delivery_id, with_for_update=True)
    if delivery is None:
        return
    endpoint = await work.session.get_one(WebhookEndpoint, delivery.endpoint_id, with_for_update=True)
    work.session.add(_make_attempt(work, delivery, answer, duration_ms))
    if answer.is_taken:
        delivery.status, delivery.ended_at = DeliveryStatus.DELIVERED.value, work.now
        endpoint.failing_since, endpoint.last_taken_at = None, work.now
        return
    pause = compute_pause(delivery.attempts, delivery.id, asked=answer.retry_after)
    if pause is None:
        delivery.status, delivery.ended_at = DeliveryStatus.FAILED.value, work.now
    else:
        delivery.not_before = work.now + pause
    endpoint.failing_since = endpoint.failing_since or work.now
    _disable_where_due(work, endpoint, answer)


def _disable_where_due(work: Work, endpoint: WebhookEndpoint, answer: Answer) -> None:
    if answer.status_code == GONE:
        disable(endpoint, DisabledFor.GONE, work.now)
    elif is_failing_for_good(endpoint.failing_since, work.now, days=work.settings.webhook_failing_days):
        disable(endpoint, DisabledFor.FAILING, work.now)
    else:
        return
    log.warning("webhook endpoint %s is sent nothing more: %s", endpoint.id, endpoint.disabled_for)


def _make_attempt(work: Work, delivery: WebhookDelivery, answer: Answer, duration_ms: int) -> WebhookAttempt:
    return WebhookAttempt(
        id=work.new_id("wha"),
        customer_id=delivery.customer_id,
        delivery_id=delivery.id,
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        number=delivery.attempts,
        status_code=answer.status_code,
        answer=answer.text,
        error=answer.error,
        duration_ms=duration_ms,
        created_at=work.now,
    )


async def count_by_status(work: Work) -> dict[str, int]:
    """Count deliveries by whether they were taken."""
    query = select(WebhookDelivery.status, func.count()).group_by(WebhookDelivery.status)
    return dict((await work.session.execute(query)).all())


async def count_disabled(work: Work) -> int:
    """Count the endpoints that were switched off since they failed or said that they are gone."""
    off = WebhookEndpoint.disabled_for.is_distinct_from(DisabledFor.BY_HAND.value)
    query = select(func.count()).where(WebhookEndpoint.status == EndpointStatus.DISABLED.value, off)
    return await work.session.scalar(query.where(WebhookEndpoint.removed_at.is_(None))) or 0
