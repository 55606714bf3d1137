"""What happens reaches a customer's program signed, at least once and with one id; what fails is tried again."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import WebhookVerificationError

from broker.addresses import read_networks
from broker.daemon.sweeps import Sweeps
from broker.notices.sending import compose_notices
from broker.system import System
from broker.webhooks.composing import compose_events
from broker.webhooks.delivering import LEASE, UNSENT, UNSIGNED, Deliverer, claim_due, note_answer
from broker.webhooks.endpoints import lock_endpoint
from broker.webhooks.metrics import WebhookReading
from broker.webhooks.model import JITTER_PERCENT, MOST_ATTEMPTS, PAUSES
from broker.webhooks.replaying import forget_events, replay_event
from broker.webhooks.sender import Answer, HttpSender
from broker.webhooks.tables import WebhookDelivery
from broker.webhooks.turns import MOST_AT_ONCE, MOST_TO_CUSTOMER, MOST_TO_ONE
from tests.broker.conftest import ManualClock
from tests.broker.factories import (
    Api,
    Customer,
    customer_api,
    dispatch,
    make_customer,
    make_ready_customer,
    sign_prepaid,
    submit_job,
)
from tests.broker.tenants import finish_job
from tests.broker.webhooks.receivers import AWAY, TAKEN, PaperSender, make_endpoint, open_receiver, verify

LATER = timedelta(days=2)


async def tell(system: System, sender: Any) -> None:
    """Make events of what happened and send what is due, as the daemon does."""
    await compose_events(system)
    await Deliverer(system, sender).deliver_due()


async def attempts_of(api: Api, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    return list((await api.get(f"/webhook-endpoints/{endpoint['id']}/attempts", limit=100))["data"])


async def run_a_job(api: Api, system: System, customer: Customer, **fields: Any) -> str:
    async with customer_api(api, customer.id) as own:
        job = await submit_job(own, customer.dataset["id"], **fields)
        await dispatch(system)
        await finish_job(api, system, job["id"])
    return str(job["id"])


@pytest.mark.story
async def test_a_job_is_told_to_a_receiver_that_verifies(api: Api, system: System) -> None:
    system.services.clock.now = datetime.now(UTC)  # type: ignore[attr-defined]  # its verifier knows one clock only
    customer = await make_ready_customer(api, starts_at="2026-01-01T00:00:00Z")
    async with open_receiver() as receiver:
        system.services.settings.webhook_networks = "127.0.0.1/32"
        endpoint = await make_endpoint(api, customer.id, url=receiver.url)
        job_id = await run_a_job(api, system, customer)
        await tell(system, HttpSender(read_networks("127.0.0.1/32")))
    told = [verify(endpoint["secret"], headers, body) for headers, body in receiver.got]
    assert sorted(each["type"] for each in told) == ["adapter.created", "job.ended", "job.started"]
    ended = next(each for each in told if each["type"] == "job.ended")
    assert (ended["data"]["job_id"], ended["data"]["status"], ended["timestamp"][-1]) == (job_id, "succeeded", "Z")
    adapter = next(each for each in told if each["type"] == "adapter.created")
    assert (await api.get(f"/adapters/{adapter['data']['adapter_id']}"))["job_id"] == job_id
    assert {each["status_code"] for each in await attempts_of(api, endpoint)} == {204}
    headers, body = receiver.got[0]
    assert headers["user-agent"].startswith("lora-broker/")
    with pytest.raises(WebhookVerificationError):
        verify(endpoint["secret"], headers, body.replace(b"job", b"jib", 1))


async def test_what_nobody_listens_to_is_not_kept(api: Api, system: System) -> None:
    customer, other = await make_ready_customer(api), await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id, event_types=["job.ended"])
    await make_endpoint(api, other.id)
    await run_a_job(api, system, customer)
    sender = PaperSender()
    await tell(system, sender)
    assert [json.loads(body)["type"] for _headers, body in sender.sent] == ["job.ended"]
    events = (await api.get("/events", customer_id=customer.id))["data"]
    assert [(event["type"], event["id"]) for event in events] == [("job.ended", sender.ids()[0])]
    assert (await api.get(f"/events/{events[0]['id']}")) == events[0]
    assert (await api.get(f"/webhook-endpoints/{endpoint['id']}"))["last_taken_at"] is not None


async def test_an_endpoint_of_a_project_hears_of_its_jobs_alone(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    mine, others = [(await api.post("/projects", {"customer_id": customer.id, "name": name}, expect=201))["id"]
                    for name in ("mine", "others")]  # fmt: skip
    await make_endpoint(api, customer.id, project_id=mine, event_types=["job.ended"])
    job_id = await run_a_job(api, system, customer, project_id=mine)
    await run_a_job(api, system, customer, project_id=others)
    sender = PaperSender()
    await tell(system, sender)
    told = [json.loads(body)["data"] for _headers, body in sender.sent]
    assert [(data["job_id"], data["project_id"]) for data in told] == [(job_id, mine)]


async def test_metrics_tell_what_is_still_to_be_taken(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await make_endpoint(api, customer.id, event_types=["job.ended"])
    await run_a_job(api, system, customer)
    await compose_events(system)
    reading, counted = WebhookReading(), []
    for sender in (PaperSender(AWAY), PaperSender()):
        await Deliverer(system, sender).deliver_due()
        await reading.refresh(system)
        counted.append(reading.pending)
        system.services.clock.advance(days=2)  # type: ignore[attr-defined]
    assert counted == [1, 0]


async def test_an_invoice_is_told_as_it_becomes_final(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await make_endpoint(api, customer.id, event_types=["invoice.issued"])
    prepaid = await sign_prepaid(api, customer.id)
    sender = PaperSender()
    await tell(system, sender)
    told = [json.loads(body)["data"] for _headers, body in sender.sent]
    assert [each["invoice_id"] for each in told] == [prepaid["advance_invoice_id"]]
    assert told[0]["contract_id"] == prepaid["id"]


async def test_what_fails_is_signed_anew_by_the_schedule_and_given_up(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    system.services.settings.webhook_failing_days = 30
    endpoint = await make_endpoint(api, customer.id)
    await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    sender = PaperSender(AWAY)
    await tell(system, sender)
    for pause in PAUSES:
        clock.now += pause - timedelta(seconds=1)
        seen = len(sender.sent)
        await tell(system, sender)
        assert len(sender.sent) == seen, "not before its pause is over"
        clock.now += timedelta(seconds=1) + pause * JITTER_PERCENT / 100
        await tell(system, sender)
    clock.now += LATER
    await tell(system, sender)
    assert (len(sender.sent), len(set(sender.ids()))) == (MOST_ATTEMPTS, 1)
    assert len({headers["webhook-timestamp"] for headers, _body in sender.sent}) == MOST_ATTEMPTS
    assert len({headers["webhook-signature"] for headers, _body in sender.sent}) == MOST_ATTEMPTS
    assert len({body for _headers, body in sender.sent}) == 1
    (delivery,) = (await api.get(f"/webhook-endpoints/{endpoint['id']}/deliveries", status="failed"))["data"]
    attempts = await attempts_of(api, endpoint)
    assert [each["number"] for each in attempts] == list(range(MOST_ATTEMPTS, 0, -1))
    assert ({each["error"] for each in attempts}, delivery["attempts"]) == ({AWAY.error}, MOST_ATTEMPTS)


async def test_retry_after_makes_a_pause_longer_and_never_shorter(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id)
    await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    await tell(system, PaperSender(Answer(429, error="it answered 429", retry_after=timedelta(hours=1))))
    (delivery,) = (await api.get(f"/webhook-endpoints/{endpoint['id']}/deliveries"))["data"]
    waits = datetime.fromisoformat(delivery["not_before"]) - clock.now
    assert timedelta(hours=1) <= waits <= timedelta(hours=1, minutes=6)


async def test_an_endpoint_that_fails_for_days_is_switched_off_its_contacts_are_told_and_it_catches_up(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id)
    place = f"/webhook-endpoints/{endpoint['id']}"
    contact = {"name": "Ann", "address": "ann@example.com", "language": "en"}
    await api.post(f"/customers/{customer.id}/contacts", contact, expect=201)
    await api.post(f"{place}/test", expect=202)
    await tell(system, PaperSender(AWAY))
    clock.now += timedelta(days=system.services.settings.webhook_failing_days)
    await tell(system, PaperSender(AWAY))
    shown = await api.get(place)
    assert (shown["status"], shown["disabled_for"]) == ("disabled", "failing")
    for _again in range(2):
        await compose_notices(system)
    notices = [each for each in (await api.get("/notices"))["data"] if each["kind"] == "webhook_disabled"]
    assert [(each["contract_id"], "CI" in each["title"]) for each in notices] == [(None, True)]
    missed_since = clock.now
    await run_a_job(api, system, customer)
    sender = PaperSender()
    await tell(system, sender)
    assert sender.sent == [], "it is switched off"
    refused = await api.post(f"{place}/test", expect=409)
    assert "enable it first" in refused["detail"]
    await api.call("PATCH", place, json={"status": "enabled"}, expect=200)
    answer = await api.post(f"{place}/replay", {"since": missed_since.isoformat()}, expect=202)
    await tell(system, sender)
    told = [json.loads(body)["type"] for _headers, body in sender.sent]
    assert (answer["events"], sorted(told)) == (3, ["adapter.created", "job.ended", "job.started"])


async def test_one_that_is_gone_is_switched_off_at_once(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id)
    await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    await tell(system, PaperSender(Answer(410, error="it answered 410")))
    shown = await api.get(f"/webhook-endpoints/{endpoint['id']}")
    assert (shown["status"], shown["disabled_for"]) == ("disabled", "gone")


async def test_a_replayed_event_keeps_its_id_and_begins_its_attempts_anew(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id, event_types=["job.ended"])
    await run_a_job(api, system, customer)
    sender = PaperSender()
    await tell(system, sender)
    body = {"event_id": sender.ids()[0]}
    await api.post(f"/webhook-endpoints/{endpoint['id']}/replay", body, expect=202)
    await tell(system, sender)
    assert sender.ids() == [body["event_id"]] * 2
    (delivery,) = (await api.get(f"/webhook-endpoints/{endpoint['id']}/deliveries"))["data"]
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 1)
    either = await api.post(f"/webhook-endpoints/{endpoint['id']}/replay", {}, expect=422)
    assert "either event_id, or since" in str(either)


async def test_both_secrets_sign_while_one_takes_over(api: Api, system: System, clock: ManualClock) -> None:
    clock.now = datetime.now(UTC)
    customer = await make_ready_customer(api, starts_at="2026-01-01T00:00:00Z")
    endpoint = await make_endpoint(api, customer.id)
    place, sender = f"/webhook-endpoints/{endpoint['id']}", PaperSender()
    rotated = await api.post(f"{place}/rotate-secret", {"overlap_hours": 1})
    await api.post(f"{place}/test", expect=202)
    await tell(system, sender)
    assert [verify(key, *sender.sent[-1])["type"] for key in (endpoint["secret"], rotated["secret"])] == [
        "webhook.test"
    ] * 2
    system.services.clock.now = clock.now - timedelta(hours=2)  # type: ignore[attr-defined]  # as if rotated before
    rotated = await api.post(f"{place}/rotate-secret", {"overlap_hours": 1})
    clock.now = datetime.now(UTC)
    await api.post(f"{place}/test", expect=202)
    await tell(system, sender)
    headers, body = sender.sent[-1]
    assert len(headers["webhook-signature"].split(" ")) == 1
    assert verify(rotated["secret"], headers, body)["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        verify(endpoint["secret"], headers, body)


async def test_two_processes_send_what_is_due_once_and_a_dead_one_keeps_nothing(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id)
    for _each in range(MOST_TO_ONE + 2):
        await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    async with system.work() as work:
        dead = await claim_due(work, room=1, under_way=[])
    sender = PaperSender()
    await asyncio.gather(*(tell(system, sender) for _process in range(3)))
    assert (len(sender.sent), len(set(sender.ids()))) == (MOST_TO_ONE + 1, MOST_TO_ONE + 1)
    clock.now += LEASE
    await tell(system, sender)
    assert sender.ids()[-1] == dead[0].headers["webhook-id"]


async def test_a_slow_endpoint_keeps_no_other_waiting(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    slow = await make_endpoint(api, customer.id, url="https://slow.example.com/")
    quick = await make_endpoint(api, customer.id, url="https://quick.example.com/")
    for endpoint in (slow, slow, slow, slow, slow, quick, quick, quick, quick, quick, quick):
        await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    released, finished = asyncio.Event(), []

    class Sender:
        async def post(self, url: str, headers: Any, body: bytes, now: datetime) -> Answer:  # noqa: ARG002 (the port's)
            if "slow" in url:
                await released.wait()
            finished.append(url)
            if len(finished) == 6:
                released.set()
            return TAKEN

    async with asyncio.timeout(20):
        await Deliverer(system, Sender()).deliver_due()
    assert [("quick" in url) for url in finished] == [True] * 6 + [False] * 5


async def test_a_backlog_of_one_customer_keeps_no_other_waiting(api: Api, system: System, clock: ManualClock) -> None:
    many, other = await make_customer(api), await make_customer(api)
    for _each in range(3):
        endpoint = await make_endpoint(api, many["id"])
        for _test in range(MOST_TO_ONE + 1):
            await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    clock.now += timedelta(seconds=1)
    late = await make_endpoint(api, other["id"])
    await api.post(f"/webhook-endpoints/{late['id']}/test", expect=202)
    async with system.work() as work:
        claimed = await claim_due(work, room=MOST_AT_ONCE, under_way=[])
        more = await claim_due(work, room=MOST_AT_ONCE, under_way=[each.turn for each in claimed])
    of_many = [each for each in claimed if each.turn.customer_id == many["id"]]
    assert (len(of_many), len(claimed), more) == (MOST_TO_CUSTOMER, MOST_TO_CUSTOMER + 1, [])


async def test_a_replay_and_the_end_of_an_attempt_wait_for_each_other_in_one_order(api: Api, system: System) -> None:
    customer = await make_customer(api)
    endpoint = await make_endpoint(api, customer["id"])
    await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    async with system.work() as work:
        (claimed,) = await claim_due(work, room=1, under_way=[])
    async with system.work() as replaying, asyncio.timeout(30):
        await lock_endpoint(replaying, endpoint["id"])

        async def note() -> None:
            async with system.work() as work:
                await note_answer(work, claimed, TAKEN, 1)

        noting = asyncio.create_task(note())
        await until_somebody_waits(system)
        await replay_event(replaying, endpoint["id"], claimed.headers["webhook-id"])
        await replaying.session.commit()
        await noting
    (delivery,) = (await api.get(f"/webhook-endpoints/{endpoint['id']}/deliveries"))["data"]
    assert (delivery["status"], delivery["attempts"]) == ("pending", 0), "the attempt of before answers no replay"
    assert [each["status_code"] for each in await attempts_of(api, endpoint)] == [TAKEN.status_code]


async def until_somebody_waits(system: System) -> None:
    """Wait until a transaction of this database waits for a lock."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN"
                 " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())")  # fmt: skip
    waiting = 0
    while not waiting:
        async with system.work() as work:
            waiting = await work.session.scalar(query) or 0


async def test_events_are_made_while_a_receiver_is_silent(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    system.services.settings.webhook_networks = "127.0.0.1/32"
    sweeps = Sweeps(system)
    async with open_receiver(None) as receiver, asyncio.timeout(60):
        endpoint = await make_endpoint(api, customer.id, url=receiver.url, event_types=["job.ended"])
        await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
        sending = asyncio.create_task(sweeps.send_webhooks())
        await receiver.asked.wait()
        await run_a_job(api, system, customer)
        await sweeps.compose_webhooks()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert {each["type"] for each in (await api.get("/events"))["data"]} == {"webhook.test", "job.ended"}


async def test_what_one_url_makes_of_the_sender_stops_no_other(api: Api, system: System) -> None:
    customer = await make_customer(api)
    odd = await make_endpoint(api, customer["id"], url="https://odd.example.com/")
    fine = await make_endpoint(api, customer["id"])
    for endpoint in (odd, fine):
        await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)

    class Sender(PaperSender):
        async def post(self, url: str, headers: Any, body: bytes, now: datetime) -> Answer:
            if "odd" in url:
                raise RuntimeError("nobody thought of that")
            return await super().post(url, headers, body, now)

    await Deliverer(system, Sender()).deliver_due()
    assert [each["error"] for each in await attempts_of(api, odd)] == [UNSENT]
    assert [each["status_code"] for each in await attempts_of(api, fine)] == [TAKEN.status_code]


async def test_what_was_due_to_a_removed_endpoint_is_given_up(api: Api, system: System) -> None:
    customer = await make_customer(api)
    endpoint = await make_endpoint(api, customer["id"])
    await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    async with system.work() as work:
        (claimed,) = await claim_due(work, room=1, under_way=[])
    await api.call("DELETE", f"/webhook-endpoints/{endpoint['id']}", expect=200)
    async with system.work() as work:
        await note_answer(work, claimed, AWAY, 1)
        delivery = await work.session.get_one(WebhookDelivery, claimed.turn.delivery_id)
        assert (delivery.status, delivery.ended_at) == ("failed", work.now)


async def test_a_secret_that_another_one_sealed_is_told_with_its_cure(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id)
    await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    sender = PaperSender()
    other = replace(system, services=replace(system.services, secret=b"another"))
    await Deliverer(other, sender).deliver_due()
    assert ([each["error"] for each in await attempts_of(api, endpoint)], sender.sent) == ([UNSIGNED], [])


async def test_old_events_go_with_all_that_was_sent_of_them(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    endpoint = await make_endpoint(api, customer.id)
    await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    await tell(system, PaperSender())
    clock.now += timedelta(days=system.services.settings.webhook_event_days, seconds=1)
    await forget_events(system)
    assert (await api.get("/events", customer_id=customer.id))["data"] == []
    assert await attempts_of(api, endpoint) == []
