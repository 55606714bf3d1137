"""Fapiao: a request is issued under its number, gets its file, and is taken back in part by a red one."""

from decimal import Decimal

from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api
from tests.broker.payments.receipts import import_lines, line, make_debtor

PAGE = "/console/finance/fapiao"
NUMBER, RED = "2533" + "0" * 16, "2533" + "1" * 16


async def _request(api: Api) -> str:
    """Have a customer pay an invoice and request a fapiao of it; its id."""
    settings = api.app.state.services.settings
    settings.fapiao_item, settings.fapiao_tax_code, settings.fapiao_tax_rate = "*服务*算力", "3" * 19, Decimal("0.06")
    debtor = await make_debtor(api)
    await import_lines(api, line("2600.00", remark=debtor.reference))
    asked = {"customer_id": debtor.customer_id, "kind": "normal", "title": {"name": "青茶"}, "amount": "100.00"}
    return str((await api.post("/fapiao", asked, expect=201))["id"])


async def test_nothing_is_to_be_issued(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        assert (await finance.open(PAGE)).state_of("fapiao") == "never"
        assert (await finance.open(PAGE, number=NUMBER)).state_of("fapiao") == "none_match"


async def test_a_fapiao_is_issued_and_taken_back_in_part(api: Api) -> None:
    fapiao = await _request(api)
    async with sign_in_staff(api, "finance") as finance:
        today = await finance.open("/console/finance/today")
        assert PAGE in today.attributes("#needs a", "href")
        assert "Sum ¥100.00 1 fapiao" in (await finance.open(PAGE)).words_of(".figure")
        own = await finance.open(f"{PAGE}/{fapiao}")
        day = {"issued_on": "2026-11-09"}
        at = f"{PAGE}/{fapiao}"
        refused = await finance.send(f"{at}/issue", {"number": "12", **day}, of=own, form="#issue", expect=422)
        assert "20 digits" in refused.find("#issue .error")
        await finance.send(f"{at}/issue", {"number": NUMBER, **day}, of=own, form="#issue")
        issued = await finance.open(at)
        assert NUMBER in issued.find("h1")
        files = {"file": ("f.pdf", b"%PDF-1.7", "application/pdf")}
        sent = await finance.http.post(f"{at}/files", data={**issued.hidden("#files"), "format": "pdf"}, files=files)
        assert sent.status_code == 303, sent.text
        red = {"number": RED, **day, "reason": "03", "amount": "40.00"}
        too_much = await finance.send(f"{at}/red", {**red, "amount": "400"}, of=issued, form="#red", expect=422)
        assert too_much.words_of("#red .error")
        await finance.send(f"{at}/red", red, of=issued, form="#red")
        left = await finance.open(at)
        assert "Left of it ¥60.00" in left.words_of(".figure")
        file = await finance.http.get(left.attributes(".files a", "href")[0])
        assert (file.status_code, file.content) == (200, b"%PDF-1.7")
        (link,) = [each for each in left.attributes("ul a", "href") if each.startswith(f"{PAGE}/")]
        taken = await finance.open(link)
        assert "-¥40.00" in taken.words_of(".figure")[0]
        assert not taken.tree.css("#red"), "a red one is not taken back"
        assert RED in (await finance.open(PAGE, number=RED)).find("#fapiao tbody")


async def test_a_request_is_cancelled(api: Api) -> None:
    fapiao = await _request(api)
    async with sign_in_staff(api, "finance", language="zh") as finance:
        own = await finance.open(f"{PAGE}/{fapiao}")
        await finance.send(f"{PAGE}/{fapiao}/cancel", {}, of=own, form="#cancel")
        assert (await finance.open(PAGE, state="cancelled")).state_of("fapiao") == "ready"
    assert (await api.get(f"/fapiao/{fapiao}"))["status"] == "cancelled"
