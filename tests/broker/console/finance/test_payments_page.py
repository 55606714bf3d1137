"""Payments: a statement is uploaded, what matched nothing is claimed by a suggestion, taken back, sent back."""

from broker.system import System
from tests.broker.console.people import Shown, sign_in_staff
from tests.broker.factories import Api
from tests.broker.http.test_paging import counted
from tests.broker.payments.receipts import import_lines, line, make_debtor

PAGE = "/console/finance/payments"


async def test_nothing_to_match(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        assert (await finance.open(PAGE)).state_of("payments") == "never"
        assert (await finance.open(PAGE, state="matched")).state_of("payments") == "none_match"


async def test_a_receipt_of_nobody_is_claimed_by_a_suggestion_and_taken_back(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    await import_lines(api, line("2600.00", payer_name="青茶", payer_account="6222"))
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(PAGE)
        assert "Unmatched ¥2,600.00 1 payment" in shown.words_of(".figure")
        at = shown.attributes("#payments tbody a", "href")[0]
        own = await finance.open(at)
        assert debtor.invoice["number"] in own.find("#claim tbody tr")
        assert "exactly this is due" in own.find("#claim tbody tr")
        form = f"#claim-{debtor.invoice_id}"
        await finance.send(f"{at}/claim", {}, of=own, form=form)
        await finance.send(f"{at}/claim", {}, of=own, form=form)
        claimed = await finance.open(at)
        assert "matched" in claimed.words_of(".figure")[0]
        assert (await api.get(f"/invoices/{debtor.invoice_id}"))["status"] == "paid"
        refused = await finance.send(f"{at}/unclaim", {"reason": ""}, of=claimed, form="#unclaim", expect=422)
        assert refused.words_of("#unclaim .error")
        await finance.send(f"{at}/unclaim", {"reason": "Wrong customer"}, of=claimed, form="#unclaim")
        assert "taken back: Wrong customer" in (await finance.open(at)).text


async def test_a_receipt_goes_back_to_its_payer_or_becomes_a_credit(api: Api) -> None:
    debtor = await make_debtor(api)
    await import_lines(api, line("100.00", payer_name="青茶", payer_account="6222"))
    async with sign_in_staff(api, "finance", language="zh") as finance:
        at = (await finance.open(PAGE)).attributes("#payments tbody a", "href")[0]
        own = await finance.open(at)
        more = {"allocations.0.invoice_id": debtor.contract_id, "allocations.0.amount": "900"}
        refused = await finance.send(f"{at}/claim", more, of=own, form="#claim-other", expect=422)
        assert refused.words_of("#claim-other .error")
        await finance.send(f"{at}/claim", {**more, "allocations.0.amount": "40"}, of=refused, form="#claim-other")
        left = await finance.open(at)
        await finance.send(f"{at}/return", {"reason": "Not ours"}, of=left, form="#return")
        assert "¥0.00" in (await finance.open(at)).words_of(".figure")[0]


async def test_a_statement_is_uploaded_and_each_line_has_its_answer(api: Api) -> None:
    debtor = await make_debtor(api)
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(PAGE)
        bad = await finance.http.post(
            f"{PAGE}/import", data=shown.hidden("#import"), files={"file": ("a.csv", b"\x00\x01", "text/csv")}
        )
        assert bad.status_code == 422
        head = "日期\t流水号\t金额\t对方名称\t附言\n"
        text = f"{head}2026-11-05\tA1\t2600.00\t青茶\t{debtor.reference}\n2026-11-06\tA2\t5\t\t\n"
        again = Shown(bad)
        good = await finance.http.post(
            f"{PAGE}/import",
            data={**again.hidden("#import"), "account": "1102"},
            files={"file": ("a.csv", text.encode("gbk"), "text/csv")},
        )
        assert good.status_code == 200, good.text
        rows = Shown(good).words_of("#imported tbody tr")
    assert [row.split()[:2] for row in rows] == [["3", "A2"], ["2", "A1"]], "what needs somebody comes first"
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["status"] == "paid"


async def test_statements_do_not_grow_with_the_payments(api: Api, system: System) -> None:
    counts = []
    async with sign_in_staff(api, "finance") as finance:
        for more in (1, 4):
            await import_lines(api, *(line("5.00") for _ in range(more)))
            with counted(system) as statements:
                await finance.open(PAGE)
            counts.append(len(statements))
    assert counts[0] == counts[1]
