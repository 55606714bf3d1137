"""Forms of customers from end to end: what is ordered, asked for, uploaded, made or taken back goes by the API."""

import io
import zipfile

import pytest

from broker.console.customer import billing_page
from broker.system import System
from broker.webhooks.delivering import Deliverer
from broker.webhooks.sender import Answer
from tests.broker.billing.invoicing import use
from tests.broker.console.people import Person, Shown, sign_in_customer
from tests.broker.factories import Api, make_ready_customer
from tests.broker.picture_files import draw_picture
from tests.broker.running_jobs import HOUR
from tests.broker.webhooks.receivers import PaperSender

BILLING = "/console/billing"


async def test_an_order_has_an_invoice_with_its_documents_and_can_be_cancelled(api: Api) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    own = {"contract_id": customer.contract["id"]}
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(BILLING, tab="grants")
        bad = {**own, "gpu_hours": "0.0001"}
        wrong = await person.send(f"{BILLING}/purchases", bad, of=shown, form="#form", expect=422)
        assert "0.0025" in wrong.text
        sent = await person.send(f"{BILLING}/purchases", {**own, "gpu_hours": "50"}, of=shown, form="#form")
        invoice = await person.open(sent.response.headers["location"])
        assert "¥" in invoice.find("#invoice")
        path = invoice.attributes("#invoice a.button", "href")
        assert len(path) == 4
        for each in path[1:]:
            answer = await person.http.get(each)
            assert answer.status_code == 200, each
            assert answer.headers["content-disposition"].startswith("attachment")
        listed = await person.open(BILLING, tab="grants")
        (cancel,) = [each for each in listed.attributes("form", "action") if each.endswith("/cancel")]
        await person.send(cancel, {}, of=listed, form=f"form[action='{cancel}']")
        assert "cancelled" in (await person.open(BILLING, tab="grants")).find("#orders")


async def test_hours_are_ordered_by_themselves_below_a_threshold(api: Api) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    fields = {"contract_id": customer.contract["id"], "threshold_gpu_hours": "20", "purchase_gpu_hours": "50"}
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(BILLING, tab="budgets")
        bad = {**fields, "threshold_gpu_hours": "many"}
        wrong = await person.send(f"{BILLING}/top-up", bad, of=shown, form="#top-up-form", expect=422)
        assert wrong.attributes("#f-threshold_gpu_hours", "value") == ["many"]
        await person.send(f"{BILLING}/top-up", fields, of=shown, form="#top-up-form")
        assert "Below 20 free GPU-hours, 50 are ordered" in (await person.open(BILLING, tab="budgets")).find("#top-up")


async def test_a_fapiao_that_cannot_be_asked_for_is_refused_at_its_field(api: Api) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(BILLING, tab="fapiao")
        assert "¥2,600.00" in shown.find("#invoiceable")
        fields = {"kind": "normal", "title.name": "青茶", "amount": "9999999"}
        wrong = await person.send(f"{BILLING}/fapiao", fields, of=shown, form="#fapiao-form", expect=422)
        assert wrong.attributes("#f-title\\.name", "value") == ["青茶"]
        assert wrong.tree.css("[role=alert]")


async def upload(person: Person, shown: Shown, name: str, content: bytes, expect: int) -> Shown:
    fields = {**shown.hidden("#upload-form"), "name": "my data"}
    response = await person.http.post("/console/datasets", data=fields, files={"files": (name, content)})
    assert response.status_code == expect, response.text
    return Shown(response)


async def test_a_zip_of_pictures_is_uploaded_looked_at_and_deleted(api: Api) -> None:
    customer = await make_ready_customer(api)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("10_style/a.png", draw_picture((640, 600)))
        archive.writestr("10_style/a.txt", "a round tea house by the sea at dusk")
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open("/console/datasets")
        refused = await upload(person, shown, "x.zip", b"no zip", 422)
        assert refused.tree.css("[role=alert]")
        sent = await upload(person, shown, "style.zip", packed.getvalue(), 303)
        path = sent.response.headers["location"]
        dataset = await person.open(path)
        (picture,) = dataset.attributes("#pictures img", "src")
        answer = await person.http.get(picture)
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"].startswith("private")
        assert answer.content.startswith(b"\xff\xd8")
        assert (await person.http.get(picture.replace("pictures/0", "pictures/1"))).status_code == 404
        await person.send(f"{path}/delete", {}, of=dataset, form=f"form[action='{path}/delete']")
        await person.open(path, expect=404)


async def test_a_key_is_shown_once_and_replaced(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open("/console/keys")
        made = await person.send("/console/keys", {"name": "laptop"}, of=shown, form="#key-form", expect=201)
        key = made.find(".made code")
        async with Api.connect(api.app, key) as own:
            assert (await own.get("/whoami"))["api_key"]["name"] == "laptop"
        again = await person.send("/console/keys", {"name": "laptop"}, of=shown, form="#key-form", expect=201)
        assert not again.tree.css(".made code"), "a double click shows it no second time"
        listed = await person.open("/console/keys")
        assert key not in listed.text
        row = next(row for row in listed.tree.css("table.rows tbody tr") if "laptop" in row.text())
        rotate, revoke = [each.attributes["action"] or "" for each in row.css("form")]
        rotated = await person.send(rotate, {}, of=listed, form=f"form[action='{rotate}']", expect=201)
        async with Api.connect(api.app, rotated.find(".made code")) as next_own:
            assert (await next_own.get("/whoami"))["api_key"]["replaces"] in rotate
        await person.send(revoke, {}, of=listed, form=f"form[action='{revoke}']")
        async with Api.connect(api.app, key) as own:
            await own.get("/whoami", expect=401)


async def test_a_key_of_one_purpose_has_its_scopes_and_opens_no_page(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open("/console/keys")
        fields = {"name": "ci", "purpose": "train"}
        made = await person.send("/console/keys", fields, of=shown, form="#key-form", expect=201)
        assert "training:write" in made.find("#api-keys")
        key = made.find(".made code")
        answer = await person.http.post("/console/sign-in", data={"key": key})
        assert answer.status_code == 401


async def test_a_month_of_very_many_jobs_is_told_by_its_usage(
    api: Api, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api, monthly_budget="100.00", tax_mode="on_top", tax_rate="0.06")
    await use(system, customer, 10 * HOUR)
    async with sign_in_customer(api, customer.id) as person:
        whole = await person.open(BILLING, tab="bills")
        monkeypatch.setattr(billing_page, "MOST_LINES", 0)
        usage = await person.open(BILLING, tab="bills")
        assert "¥72.08" in whole.find("#upcoming")
        assert "¥68.00" in usage.find("#upcoming"), "before tax"
        budget = (await person.open(BILLING, tab="budgets")).find("#budget")
        assert "Used ¥68.00" in budget
        assert "Left ¥32.00" in budget


async def test_another_month_of_a_budget_and_a_day_of_before_are_told(api: Api) -> None:
    customer = await make_ready_customer(api, monthly_budget="100.00")
    async with sign_in_customer(api, customer.id) as person:
        assert "¥100.00" in (await person.open(BILLING, tab="budgets")).find("#budget")
        then = await person.open(BILLING, tab="overview", as_of="2026-11-05")
        assert "Free hours on 2026-11-05" in then.find("#settled")
        future = await person.open(BILLING, tab="overview", as_of="2027-11-05")
        assert "Free hours on 2026-11-10" in future.find("#settled"), "no day is told that is still to come"
        (own,) = then.attributes("#spend figcaption a", "href")
        assert own.endswith(f"?contract_id={customer.contract['id']}"), "the file is of what the chart is of"
        assert len((await person.http.get(own)).text.splitlines()) == 31
        assert (await person.http.get(own.replace("con_", "con_0"))).status_code == 404


async def test_a_webhook_is_named_tested_and_sent_again(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open("/console/webhooks")
        fields = {"name": "CI", "url": "http://hooks.example.com/", "hears": "ends"}
        wrong = await person.send("/console/webhooks", fields, of=shown, form="#webhook-form", expect=422)
        assert "https://" in wrong.find(".wrong .error")
        fields["url"] = "https://hooks.example.com/"
        made = await person.send("/console/webhooks", fields, of=wrong, form="#webhook-form", expect=201)
        (secret,) = [
            word for word in made.text.replace("<", " ").replace(">", " ").split() if word.startswith("whsec_")
        ]
        place = made.attributes("#replay-form", "action")[0].removesuffix("/replay")
        assert secret not in (await person.open(place)).text
        await person.send(f"{place}/test", {}, of=made, form=f"form[action='{place}/test']")
        await Deliverer(system, PaperSender(Answer(500, "no disk", "it answered 500"))).deliver_due()
        shown = await person.open(place)
        assert "it answered 500" in shown.find("#attempts")
        assert "tried again" in shown.find("#undelivered")
        again = {"event_id": shown.attributes("#undelivered input[name='event_id']", "value")[0]}
        await person.send(f"{place}/replay", again, of=shown, form=f"#undelivered form[action='{place}/replay']")
        sender = PaperSender()
        await Deliverer(system, sender).deliver_due()
        assert sender.ids() == [again["event_id"]]
        await person.send(f"{place}/disable", {}, of=shown, form=f"form[action='{place}/disable']")
        off = await person.open(place)
        assert "switched off" in off.text
        await person.send(f"{place}/remove", {}, of=off, form=f"form[action='{place}/remove']")
        assert "CI" not in (await person.open("/console/webhooks")).find("#webhooks")
