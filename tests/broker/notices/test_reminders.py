"""Finance reminds of an overdue invoice by hand: its contacts are told what is owed, at most once a day."""

import asyncio
from datetime import timedelta

from broker.arrears.sweep import sweep
from broker.notices.sending import compose_notices
from broker.system import System
from tests.broker.arrears.debtors import FIRST_DAY, Debtor, make_debtor
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api


async def make_late(api: Api, system: System, clock: ManualClock) -> Debtor:
    """Make a customer whose invoices are one day overdue, with two contacts."""
    debtor = await make_debtor(api, system, clock)
    for name, language in (("财务", "zh"), ("Ann", "en")):
        contact = {"name": name, "address": f"{language}@example.com", "language": language}
        await api.post(f"/customers/{debtor.id}/contacts", contact, expect=201)
    clock.now = FIRST_DAY
    await sweep(system)
    return debtor


async def test_each_contact_is_reminded_in_its_language_of_what_is_owed(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_late(api, system, clock)
    invoice = debtor.invoices[0]
    clock.now += timedelta(days=2)
    reminder = await api.post(f"/invoices/{invoice['id']}/reminders", {}, expect=201)
    told = (reminder["number"], reminder["owed"], reminder["days_overdue"], reminder["contacts"])
    assert told == (invoice["number"], invoice["due"], 3, 2)
    await compose_notices(system)
    notices = (await api.get("/notices", customer_id=debtor.id, limit=100))["data"]
    titles = {each["title"] for each in notices if each["kind"] == "invoice_reminded"}
    assert titles == {f"催款：账单 {invoice['number']}", f"Reminder: invoice {invoice['number']}"}
    async with customer_api(api, debtor.id) as own:
        assert (await own.get(f"/invoices/{invoice['id']}/reminders"))["data"] == [reminder]
    (entry,) = (await api.get("/audit", action="remind_of_invoice"))["data"]
    assert (entry["object_id"], entry["customer_id"]) == (invoice["id"], debtor.id)


async def test_an_invoice_is_reminded_of_once_a_day_however_many_ask(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_late(api, system, clock)
    place = f"/invoices/{debtor.invoices[0]['id']}/reminders"
    answers = await asyncio.gather(*(api.call("POST", place, json={}) for _each in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert "today already" in next(answer.json()["detail"] for answer in answers if answer.status_code == 409)
    await api.post(f"/invoices/{debtor.invoices[1]['id']}/reminders", {}, expect=201)
    clock.now += timedelta(days=1)
    await api.post(place, {}, expect=201)
    assert [each["days_overdue"] for each in (await api.get(place))["data"]] == [2, 1]


async def test_of_what_is_not_overdue_or_disputed_or_concerns_nobody_no_one_is_reminded(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    early, disputed = (f"/invoices/{each['id']}/reminders" for each in debtor.invoices)
    assert "is not overdue" in (await api.post(early, {}, expect=409))["detail"]
    clock.now = FIRST_DAY
    refused = await api.post(early, {}, expect=422)
    assert (refused["errors"][0]["field"], "/contacts" in refused["errors"][0]["message"]) == ("invoice_id", True)
    body = {"invoice_id": debtor.invoices[1]["id"], "reason": "Not ours"}
    for line in (await api.get(f"/invoices/{body['invoice_id']}"))["lines"]:
        if not line["amount"]["amount"].startswith("-"):
            await api.post("/disputes", body | {"position": line["position"]}, expect=201)
    assert "is not overdue" in (await api.post(disputed, {}, expect=409))["detail"]
    assert (await api.get(disputed))["data"] == []
