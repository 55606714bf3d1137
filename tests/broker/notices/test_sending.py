"""Each contact is told once of each thing; what fails is tried again, and its URL is never shown."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from fastapi import FastAPI

from broker.notices.contacts import find_url
from broker.notices.model import MOST_ATTEMPTS, compute_pause
from broker.notices.money_ending import find_warning, warn_of_end
from broker.notices.port import HANDOVER, LogPort, NotSent, open_port
from broker.notices.sending import LEASE, UNREADABLE, compose_notices, send_notices
from broker.notices.tables import NoticeContact
from broker.notices.words import Words
from broker.system import System
from tests.broker.arrears.debtors import bring_to, make_debtor
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, customer_api, make_customer, make_ready_customer
from tests.broker.notices.mail_sink import mail_sink
from tests.broker.running_jobs import report_usage, start_job

BOT = "wecombot://a-key-that-nobody-sees"


@dataclass
class PaperPort:
    """Writes down what it is given; what it was told to fail at raises."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    failing: bool = False

    async def send(self, url: str, contact_id: str, words: Words) -> None:
        if self.failing:
            raise NotSent(f"the service of contact {contact_id} did not take it")
        self.sent.append((url, words.title))


async def name_two(api: Api, customer_id: str) -> None:
    place = f"/customers/{customer_id}/contacts"
    await api.post(place, {"name": "财务", "url": BOT}, expect=201)
    await api.post(place, {"name": "Ann", "address": "ann@example.com", "language": "en"}, expect=201)


async def test_each_contact_is_told_once_in_its_language(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    await name_two(api, debtor.id)
    await bring_to(system, clock, "grace")
    port = PaperPort()
    for _again in range(2):
        await asyncio.gather(compose_notices(system), compose_notices(system))
        await asyncio.gather(send_notices(system, port), send_notices(system, port))
    of_arrears = sorted(sent for sent in port.sent if "欠费" in sent[1] or "Arrears" in sent[1])
    assert of_arrears == [("?to=ann%40example.com", "Arrears: grace")] * 2 + [(BOT, "欠费状态：宽限期")] * 2
    titles = [title for url, title in port.sent if url == BOT]
    assert all(f"新账单 {invoice['number']}" in titles for invoice in debtor.invoices)
    shown = (await api.get("/notices", customer_id=debtor.id, limit=100))["data"]
    assert {notice["status"] for notice in shown} == {"sent"}
    assert len(shown) == len(port.sent)
    assert BOT not in str(shown)


async def test_what_fails_is_tried_again_ever_later_and_given_up_where_ops_sees_it(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    await api.post(f"/customers/{debtor.id}/contacts", {"name": "财务", "url": BOT}, expect=201)
    await bring_to(system, clock, "grace")
    await compose_notices(system)
    port = PaperPort(failing=True)
    await send_notices(system, port)
    await send_notices(system, port)
    (first, *_others) = (await api.get("/notices", status="pending"))["data"]
    assert (first["attempts"], BOT in first["last_error"]) == (1, False)
    for attempt in range(1, MOST_ATTEMPTS):
        clock.now += compute_pause(attempt)
        await send_notices(system, port)
    given_up = (await api.get("/notices", status="failed"))["data"]
    assert first["id"] in {notice["id"] for notice in given_up}
    assert port.sent == []


async def test_a_contact_that_is_removed_is_told_nothing_more(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    contact = await api.post(f"/customers/{debtor.id}/contacts", {"name": "财务", "url": BOT}, expect=201)
    await compose_notices(system)
    await api.call("DELETE", f"/customers/{debtor.id}/contacts/{contact['id']}", expect=200)
    port = PaperPort()
    await send_notices(system, port)
    assert port.sent == []
    assert (await api.get(f"/customers/{debtor.id}/contacts"))["data"] == []


async def test_url_of_a_contact_is_nowhere_to_be_read(api: Api, app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    customer = await make_customer(api)
    with caplog.at_level(logging.DEBUG):
        made = await api.post(f"/customers/{customer['id']}/contacts", {"name": "财务", "url": BOT}, expect=201)
        async with customer_api(api, customer["id"]) as own:
            listed = await own.get(f"/customers/{customer['id']}/contacts")
        audit = await api.get("/audit", limit=100)
        await LogPort().send(BOT, made["id"], Words("title", "body"))
    assert made["shown"] == "wecombot://****"
    assert "a-key-that-nobody-sees" not in f"{made}{listed}{audit}{caplog.text}"


async def test_url_of_a_chat_is_sealed_in_the_database(api: Api, system: System) -> None:
    customer = await make_customer(api)
    place, body = f"/customers/{customer['id']}/contacts", {"name": "财务", "url": BOT}
    made = [await api.post(place, body, expect=201) for _again in range(2)]
    async with system.work() as work:
        rows = [await work.session.get_one(NoticeContact, each["id"]) for each in made]
    assert len({row.url for row in rows}) == 2, "the same text looks different"
    assert all("a-key" not in row.url and "wecombot" not in row.url for row in rows)
    assert [find_url(row, system.services.secret, None) for row in rows] == [BOT, BOT]
    assert find_url(rows[0], b"another secret of the installation", None) is None


async def test_a_contact_that_another_secret_has_sealed_is_given_up_with_the_cure(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    await api.post(f"/customers/{debtor.id}/contacts", {"name": "财务", "url": BOT}, expect=201)
    await compose_notices(system)
    port = PaperPort()
    await send_notices(replace(system, services=replace(system.services, secret=b"another secret")), port)
    shown = (await api.get("/notices", customer_id=debtor.id))["data"]
    assert port.sent == []
    assert {(each["status"], each["last_error"]) for each in shown} == {("failed", UNREADABLE)}


async def test_a_service_that_is_slow_keeps_no_other_contact_waiting(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    await name_two(api, debtor.id)
    await compose_notices(system)
    reached = asyncio.Event()

    class SlowPort(PaperPort):
        async def send(self, url: str, contact_id: str, words: Words) -> None:
            if url == BOT:
                await asyncio.wait_for(reached.wait(), 5)
            else:
                reached.set()
            await super().send(url, contact_id, words)

    port = SlowPort()
    await send_notices(system, port)
    assert {url for url, _title in port.sent} == {BOT, "?to=ann%40example.com"}
    assert HANDOVER < LEASE / 2


@pytest.mark.parametrize(
    ("body", "field_name"),
    [
        ({"name": "x"}, "address"),
        ({"name": "x", "address": "a@b.cn", "url": BOT}, "address"),
        ({"name": "x", "address": "nobody"}, "address"),
        ({"name": "x", "address": "a@b.cn&to=c@d.cn"}, "address"),
        ({"name": "x", "url": "json://127.0.0.1/"}, "url"),
        ({"name": "x", "url": "file:///etc/passwd"}, "url"),
        ({"name": "x", "url": "wecombot://"}, "url"),
        ({"name": "x", "url": "wecombot:a-key-without-its-slashes"}, "url"),
        ({"name": "x", "url": "slack://one-token-of-three"}, "url"),
        ({"name": "x", "url": f"{BOT}?rto=99999999"}, "url"),
        ({"name": "x", "url": f"{BOT}?VERIFY=no"}, "url"),
        ({"name": " ", "url": BOT}, "name"),
        ({"name": "x", "url": BOT, "language": "fr"}, "language"),
    ],
)
async def test_a_contact_that_nobody_could_tell_is_refused(api: Api, body: dict[str, str], field_name: str) -> None:
    customer = await make_customer(api)
    problem = await api.post(f"/customers/{customer['id']}/contacts", body, expect=422)
    assert [each["field"] for each in problem["errors"]] == [field_name]
    assert (await api.get(f"/customers/{customer['id']}/contacts"))["data"] == []


async def test_mail_goes_by_the_server_of_the_settings(api: Api, system: System) -> None:
    customer = await make_customer(api)
    made = await api.post(f"/customers/{customer['id']}/contacts", {"name": "x", "address": "a@b.cn"}, expect=201)
    async with system.work() as work:
        row = await work.session.get_one(NoticeContact, made["id"])
    url = find_url(row, b"secret", "mailtos://u:p@smtp.example.com?from=broker")
    assert url == "mailtos://u:p@smtp.example.com?from=broker&to=a%40b.cn"


@pytest.mark.parametrize(
    ("days_left", "warning"), [(None, None), ("3.1", None), ("3", 3), ("2.1", 3), ("1.9", 2), ("0.2", 1), ("0", 1)]
)
def test_warnings_come_three_two_and_one_days_before(days_left: str | None, warning: int | None) -> None:
    assert find_warning(None if days_left is None else Decimal(days_left)) == warning


async def test_money_that_ends_is_told_once_for_each_of_three_days(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer: Customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, gpu_seconds=500 * 3600, tokens=0)
    for _day in range(9):
        clock.advance(days=1)
        await report_usage(system, job, gpu_seconds=27 * 3600, tokens=0)
    async with system.work() as work:
        assert not await warn_of_end(work, customer.contract["id"])
    told = []
    for _day in range(4):
        clock.advance(days=1)
        await report_usage(system, job, gpu_seconds=60 * 3600, tokens=0)
        async with system.work() as work:
            told.append(await warn_of_end(work, customer.contract["id"]))
            assert not await warn_of_end(work, customer.contract["id"])
    events = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="money_ending"))["data"]
    assert len(events) == sum(told) >= 1
    assert {event["data"]["days_left"] for event in events} <= {1, 2, 3}


async def test_apprise_hands_over_or_tells_that_it_could_not(system: System) -> None:
    """The library itself, with a service that it knows and an address that nobody answers."""
    port = open_port(system.services.settings.model_copy(update={"notice_port": "apprise"}))
    with pytest.raises(NotSent) as refused:
        await port.send("nosuchscheme://secret-token", "cnt_1", Words("title", "body"))
    assert "secret-token" not in str(refused.value)


async def test_mail_really_leaves(system: System) -> None:
    """By the library, to a server of the settings."""
    port = open_port(system.services.settings.model_copy(update={"notice_port": "apprise"}))
    contact = NoticeContact(channel="mail", url="to=finance%40example.com")
    async with mail_sink() as (number, messages):
        server = f"mailto://127.0.0.1:{number}?from=billing@example.com&mode=insecure"
        await port.send(
            find_url(contact, b"secret", server) or "", "cnt_1", Words("Arrears: grace", "4200.00 CNY is overdue.")
        )
    assert [b"To: finance@example.com" in message and b"4200.00" in message for message in messages] == [True]
