"""Receivables by age, and contracts in arrears with the time that finance gives them."""

from broker.system import System
from tests.broker.arrears.debtors import bring_to, make_debtor
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api
from tests.broker.http.test_paging import counted
from tests.broker.payments.receipts import make_debtor as make_unpaid

PAGE = "/console/finance/receivables"


async def test_nobody_owes_anything(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(PAGE)
        assert [shown.state_of(panel) for panel in ("owed", "arrears")] == ["never", "never"]
        assert (await finance.open(PAGE, state="grace")).state_of("arrears") == "none_match"


async def test_what_is_owed_stands_by_age_and_by_customer(api: Api, system: System) -> None:
    counts = []
    async with sign_in_staff(api, "finance") as finance:
        for more in (1, 3):
            for _ in range(more):
                await make_unpaid(api)
            with counted(system) as statements:
                shown = await finance.open(PAGE)
            counts.append(len(statements))
        assert counts[0] == counts[1]
        assert "Due ¥10,400.00" in shown.words_of("#owed .figure")
        assert len(shown.words_of("#owed table.rows tbody tr")) == 4
        csv = await finance.open(shown.attributes(".files a", "href")[0])
        assert csv.response.text.count("2600.00") >= 4


async def test_a_contract_in_arrears_tells_how_it_came_there_and_gets_time(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    await bring_to(system, clock, "suspended")
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(PAGE, state="suspended")
        at = shown.attributes("#arrears tbody a[href*=receivables]", "href")[0]
        own = await finance.open(at)
        assert "suspended" in own.words_of(".figure")[0]
        refused = await finance.send(
            f"{at}/extend",
            {"until": "2026-01-01", "kind": "extension", "reason": "Asked"},
            of=own,
            form="#extend",
            expect=422,
        )
        assert refused.attributes("#f-until", "value") == ["2026-01-01"]
        until = f"{clock.now.date().replace(day=28)}"
        await finance.send(
            f"{at}/extend",
            {"until": until, "kind": "promise_to_pay", "reason": "They promised"},
            of=own,
            form="#extend",
        )
        assert "They promised" in (await finance.open(at)).text
    assert debtor.id
