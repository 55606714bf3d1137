"""Refunds: what is to be sent, what was, and what the bank says of it, each in its own list."""

from broker.system import System
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api
from tests.broker.payments.receipts import import_lines, line, make_debtor

PAGE = "/console/finance/refunds"


async def _send_back(api: Api, amount: str) -> str:
    """Import a payment that fits nothing, and ask for it to go back to its payer; the refund's id."""
    (kept,) = (await import_lines(api, line(amount, payer_name="青茶", payer_account="6222")))["lines"]
    refund = await api.post(f"/payments/{kept['payment_id']}/return", {"reason": "Not ours"}, expect=201)
    return str(refund["id"])


async def test_nothing_is_to_be_sent(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        assert (await finance.open(PAGE)).state_of("refunds") == "never"


async def test_a_refund_is_sent_arrives_or_comes_back(api: Api, system: System) -> None:
    await make_debtor(api)
    first, second = await _send_back(api, "70.00"), await _send_back(api, "30.00")
    async with sign_in_staff(api, "finance") as finance:
        today = await finance.open("/console/finance/today")
        assert PAGE in today.attributes("#needs a", "href")
        shown = await finance.open(PAGE)
        assert "To be sent ¥100.00 2 refunds" in shown.words_of(".figure")
        refused = await finance.send(
            f"{PAGE}/{first}/send", {"bank_reference": " "}, of=shown, form=f"#send-{first}", expect=422
        )
        assert refused.words_of(".problem")
        await finance.send(f"{PAGE}/{first}/send", {"bank_reference": "B1"}, of=shown, form=f"#send-{first}")
        await finance.send(f"{PAGE}/{second}/fail", {"reason": "Closed"}, of=shown, form=f"#fail-{second}")
        assert (await finance.open(PAGE)).state_of("refunds") == "never"
        sent = await finance.open(PAGE, state="sent")
        assert "B1" in sent.find("#refunds tbody tr")
        await finance.send(f"{PAGE}/{first}/confirm", {}, of=sent, form=f"#confirm-{first}")
        assert "Closed" in (await finance.open(PAGE, state="failed")).find("#refunds tbody tr")
        assert (await finance.open(PAGE, state="confirmed")).state_of("refunds") == "ready"
    assert (await api.get(f"/refunds/{first}"))["status"] == "confirmed"


async def test_what_cannot_be_told_is_no_page(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(PAGE)
        fields = shown.hidden() | {"csrf": shown.hidden()["csrf"]}
        assert (await finance.http.post(f"{PAGE}/ref_1/steal", data=fields)).status_code == 404
