"""Top-ups: a contract is told to order more by itself, stands in the list, and is told not to."""

from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api, make_customer, sign_prepaid

PAGE = "/console/finance/top-ups"


async def test_a_contract_orders_more_until_its_rule_is_removed(api: Api) -> None:
    customer = await make_customer(api)
    contract = (await sign_prepaid(api, customer["id"]))["id"]
    at = f"/console/finance/contracts/{contract}/top-up"
    async with sign_in_staff(api, "finance") as finance:
        assert (await finance.open(PAGE)).state_of("top_ups") == "never"
        account = await finance.open(f"/console/finance/customers/{customer['id']}")
        assert at in account.attributes("#grants + p a, p a.button", "href")
        form = await finance.open(at)
        rule = {"threshold_gpu_hours": "x", "purchase_gpu_hours": "50"}
        refused = await finance.send(f"{at}/set", rule, of=form, form="#set", expect=422)
        assert refused.words_of("#set .error")
        await finance.send(f"{at}/set", {**rule, "threshold_gpu_hours": "900"}, of=form, form="#set")
        row = (await finance.open(PAGE)).find("#top_ups tbody tr")
        assert "900" in row
        assert "orders with the next sweep" in row
        own = await finance.open(at)
        assert "Below 900 free GPU-hours it orders 50 more" in own.text
        await finance.send(f"{at}/remove", {}, of=own, form="#remove")
        assert "It orders nothing by itself." in (await finance.open(at)).text
