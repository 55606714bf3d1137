"""Sending what is due: claimed in one transaction, sent in none, its outcome noted in another.

An attempt that was under way as its process died is made again once its lease is over: a receiver may get an event
twice, and knows it by its id. Customers come in turn (`turns.py`): a backlog of one keeps no other waiting.
"""

import json
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, literal_column, select, true
from sqlalchemy.sql.selectable import ForUpdateArg

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
from broker.webhooks.turns import MOST_AT_ONCE, MOST_TO_CUSTOMER, MOST_TO_ONE, Turn, choose_turns, list_full
from broker.webhooks.under_way import UnderWay
from broker.work import Work

log = logging.getLogger(__name__)

# So long a process may take for an attempt; then another one makes it.
LEASE = timedelta(minutes=2)
UNSIGNED = "its secret is sealed by another secret of the installation; give the endpoint a new one"
UNSENT = "the broker could not send it; it is tried again"


@dataclass(frozen=True)
class Claimed:
    """An attempt to be made: of which delivery, where to, and what. It is this process's until `leased_until`."""

    turn: Turn
    leased_until: datetime
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Deliverer:
    """Sends what is due, for one process. What is slow keeps nothing else from being sent."""

    system: System
    sender: Sender
    under_way: UnderWay[Turn] = field(default_factory=UnderWay)

    async def deliver_due(self) -> None:
        """Send until nothing is due and nothing under way."""
        await self.under_way.work_off(self._begin_due)

    async def _begin_due(self) -> None:
        for claimed in await self._claim():
            self.under_way.begin(self._attempt(claimed), claimed.turn, name=f"webhook {claimed.turn.delivery_id}")

    async def _claim(self) -> list[Claimed]:
        """Claim what is due, as much as there is room for, a few to each endpoint and of each customer."""
        if len(self.under_way) >= MOST_AT_ONCE:
            return []
        async with self.system.work() as work:
            return await claim_due(work, room=MOST_AT_ONCE - len(self.under_way), under_way=self.under_way.list_kept())

    async def _attempt(self, claimed: Claimed) -> None:
        """Make an attempt, and note what came of it. What is not noted is made again, and keeps no other from its own.

        Raises: nothing.
        """
        began = time.monotonic()
        answer = await self._send(claimed)
        duration_ms = round((time.monotonic() - began) * 1000)
        try:
            async with self.system.work() as work:
                await note_answer(work, claimed, answer, duration_ms)
        except Exception as error:  # noqa: BLE001 (it is made again once its lease is over)
            self.system.services.note_failure("noting a webhook", error)

    async def _send(self, claimed: Claimed) -> Answer:
        if "webhook-signature" not in claimed.headers:
            return Answer(None, error=UNSIGNED)
        try:
            return await self.sender.post(claimed.url, claimed.headers, claimed.body, self.system.services.clock())
        except Exception as error:  # noqa: BLE001 (one URL that nobody thought of stops no other customer's)
            self.system.services.note_failure("sending a webhook", error)
            return Answer(None, error=UNSENT)


async def claim_due(work: Work, *, room: int, under_way: Collection[Turn]) -> list[Claimed]:
    """Claim due deliveries for as long as an attempt may take, customer by customer in turn, signed as of now."""
    chosen = choose_turns(await _list_due(work, list_full(under_way)), under_way, room=room)
    query = (
        select(WebhookDelivery, WebhookEvent, WebhookEndpoint)
        .join(WebhookEvent, WebhookEvent.id == WebhookDelivery.event_id)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(
            WebhookDelivery.id.in_([each.delivery_id for each in chosen]),
            # Said again of the row that is locked: another process may have claimed it meanwhile.
            WebhookDelivery.status == DeliveryStatus.PENDING.value,
            WebhookDelivery.not_before <= work.now,
        )
        .order_by(WebhookDelivery.not_before, WebhookDelivery.id)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
    )
    if not chosen:
        return []
    return [_claim_one(work, *found) for found in (await work.session.execute(query)).all()]


async def _list_due(work: Work, full: Collection[str]) -> Sequence[Turn]:
    """List what is due, a few of each endpoint that is not full and of each customer; customers come in turn.

    It costs a look at an index by endpoint that is sent to, however much is due to one; and one look where nothing is.
    """
    is_due = (WebhookDelivery.status == DeliveryStatus.PENDING.value, WebhookDelivery.not_before <= work.now)
    due = (
        select(WebhookDelivery.id, WebhookDelivery.not_before)
        .where(WebhookDelivery.endpoint_id == WebhookEndpoint.id, *is_due)
        .order_by(WebhookDelivery.not_before, WebhookDelivery.id)
        .limit(MOST_TO_ONE)
        .lateral("due")
    )
    place = func.row_number().over(partition_by=WebhookEndpoint.customer_id, order_by=(due.c.not_before, due.c.id))
    found = (
        select(
            due.c.id,
            due.c.not_before,
            WebhookEndpoint.id.label("endpoint_id"),
            WebhookEndpoint.customer_id,
            WebhookEndpoint.failing_since.is_not(None).label("is_failing"),
            place.label("place"),
        )
        .select_from(WebhookEndpoint)
        .join(due, true())
        .where(
            exists(select(WebhookDelivery.id).where(*is_due).correlate(None)),
            WebhookEndpoint.status == EndpointStatus.ENABLED.value,
            WebhookEndpoint.removed_at.is_(None),
            WebhookEndpoint.id.not_in(full),
        )
        .subquery()
    )
    query = (
        select(found.c.id, found.c.endpoint_id, found.c.customer_id, found.c.is_failing)
        .where(found.c.place <= MOST_TO_CUSTOMER)
        .order_by(found.c.place, found.c.not_before, found.c.id)
        .limit(MOST_AT_ONCE * MOST_TO_CUSTOMER)
    )
    return [Turn(*row) for row in (await work.session.execute(query)).all()]


def _claim_one(work: Work, delivery: WebhookDelivery, event: WebhookEvent, endpoint: WebhookEndpoint) -> Claimed:
    delivery.attempts += 1
    delivery.not_before = work.now + LEASE
    turn = Turn(delivery.id, endpoint.id, endpoint.customer_id, endpoint.failing_since is not None)
    body = write_body(event)
    keys = list_keys(endpoint, work.services.secret, work.now)
    headers = write_headers(event.id, work.now, body, keys) if keys else {}
    return Claimed(turn, delivery.not_before, endpoint.url, headers, body)


def write_body(event: WebhookEvent) -> bytes:
    """Write what is sent of an event: the same bytes at each attempt."""
    moment = event.happened_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    told: dict[str, Any] = {"type": event.type, "timestamp": moment, "data": event.data}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


async def note_answer(work: Work, claimed: Claimed, answer: Answer, duration_ms: int) -> None:
    """Note what came of an attempt: taken, tried again later, given up; and how its endpoint stands.

    Of a delivery that was claimed or replayed anew meanwhile the attempt is kept, and decides nothing.
    """
    locked = ForUpdateArg(key_share=True)
    endpoint = await work.session.get_one(WebhookEndpoint, claimed.turn.endpoint_id, with_for_update=locked)
    delivery = await work.session.get(WebhookDelivery, claimed.turn.delivery_id, with_for_update=locked)
    if delivery is None:
        return
    work.session.add(_make_attempt(work, delivery, answer, duration_ms))
    is_current = delivery.status == DeliveryStatus.PENDING and delivery.not_before == claimed.leased_until
    if is_current:
        _decide(work, delivery, answer)
    if answer.is_taken:
        endpoint.failing_since, endpoint.last_taken_at = None, work.now
        return
    endpoint.failing_since = endpoint.failing_since or work.now
    _disable_where_due(work, endpoint, answer)


def _decide(work: Work, delivery: WebhookDelivery, answer: Answer) -> None:
    """Decide what becomes of a locked delivery after an attempt."""
    pause = compute_pause(delivery.attempts, delivery.id, asked=answer.retry_after)
    if answer.is_taken:
        delivery.status, delivery.ended_at = DeliveryStatus.DELIVERED.value, work.now
    elif pause is None:
        delivery.status, delivery.ended_at = DeliveryStatus.FAILED.value, work.now
    else:
        delivery.not_before = work.now + pause


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


async def count_pending(work: Work) -> int:
    """Count the deliveries that are still to be made, by an index of just these: all that were made may be millions."""
    query = select(func.count()).where(WebhookDelivery.status == literal_column(f"'{DeliveryStatus.PENDING.value}'"))
    return await work.session.scalar(query) or 0


async def count_disabled(work: Work) -> int:
    """Count the endpoints that were switched off since they failed or said that they are gone."""
    off = WebhookEndpoint.disabled_for.is_distinct_from(DisabledFor.BY_HAND.value)
    query = select(func.count()).where(WebhookEndpoint.status == EndpointStatus.DISABLED.value, off)
    return await work.session.scalar(query.where(WebhookEndpoint.removed_at.is_(None))) or 0
