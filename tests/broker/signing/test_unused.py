"""What becomes of unused hours that are not refunded: carried on into a renewal, or given up."""

from typing import Any

import pytest

from broker.contracts import service as contracts
from broker.daemon.sweeps import Sweeps
from broker.ledger import service as ledger
from broker.signing.refunds import list_refundable, refund_grants
from broker.signing.unused import carry_grants, expire_grants
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, Customer, make_customer, make_ready_customer, sign_contract
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, settle, start_job
from tests.broker.signing.test_refunds import accounts_of


async def renew(api: Api, customer: Customer) -> Any:
    return await sign_contract(api, customer.id, starts_at="2026-12-01T00:00:00Z")


async def carry(system: System, old: str, new: str, *, whole: bool = False) -> list[tuple[int, str]]:
    async with system.work() as work:
        terms = [await contracts.lock_contract(work, contract_id) for contract_id in (old, new)]
        return [(each.quantity, each.kind.value) for each in await carry_grants(work, *terms, whole=whole)]


@pytest.mark.parametrize("percent", [100, 30])
async def test_unused_hours_are_carried_on_as_far_as_their_rule_lets(
    api: Api, system: System, clock: ManualClock, percent: int
) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-12-01T00:00:00Z")
    old = customer.contract["id"]
    order = await api.post(
        "/purchases",
        {"contract_id": old, "gpu_hours": "100", "rollover": "carry", "rollover_percent": percent},
        expect=201,
    )
    await api.post(f"/invoices/{order['invoice_id']}/pay")
    new = (await renew(api, customer))["id"]
    clock.now = START.replace(month=12, day=1, hour=0)
    await Sweeps(system).expire_grants()  # the renewal comes a moment later, and finds the hours still
    assert await carry(system, old, new) == [(percent * HOUR, "bought")]
    (carried,) = (await api.get("/grants", contract_id=new))["data"]
    assert (carried["left"], carried["unit_price"], carried["rollover_percent"]) == (percent * HOUR, "5.2", percent)
    assert (carried["effective_at"], carried["expires_at"]) == ("2026-12-01T00:00:00Z", "2027-12-01T00:00:00Z")
    assert (await accounts_of(system, new))["deferred_revenue"] == -percent * 5_200_000
    assert await carry(system, old, new) == []
    assert (await read_balance(system, old)).available_gpu_seconds == 0
    assert await broken_rules(system) == {}


async def test_renewal_takes_over_what_its_rule_carries_on(api: Api, system: System, clock: ManualClock) -> None:
    rule = {"rollover": "carry", "rollover_percent": 40}
    taxed = {"tax_mode": "included", "tax_rate": "0.13"}
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-12-01T00:00:00Z", **rule, **taxed)
    old = customer.contract["id"]
    job = await start_job(system, customer, gpu_seconds=100 * HOUR, tokens=0)
    new = (await api.post(f"/contracts/{old}/renewal", {"renew": True}))["id"]
    clock.now = START.replace(month=12, day=1, hour=0, minute=5)
    for _twice in range(2):
        await Sweeps(system).expire_grants()
    carried, signed = (await api.get("/grants", contract_id=new))["data"]
    assert (carried["left"], carried["effective_at"]) == (200 * HOUR, "2026-12-01T00:00:00Z")
    assert (signed["status"], signed["rollover"], signed["rollover_percent"]) == ("pending", "carry", 40)
    await settle(system, job)
    await Sweeps(system).expire_grants()
    (ended,) = (await api.get("/grants", contract_id=old))["data"]
    assert (ended["status"], ended["left"], ended["gone"]) == ("expired", 0, 500 * HOUR)
    # 300 and 200 hours at 5.20, without the tax in them: together what was paid for 500.
    assert await accounts_of(system, old) == {"cash": 2_600_000_000, "tax": -299_120_000, "breakage": -1_380_530_000}
    async with system.work() as work:
        assert await ledger.read_deferred(work, carried["id"]) == Money(920_350_000)
    assert await broken_rules(system) == {}


async def test_hours_that_a_true_up_charges_are_not_carried_on(api: Api) -> None:
    """A guard: their customer paid for them as unused, and again as they were used in the term that followed."""
    rule = {"rollover": "carry", "ends_at": "2027-11-01T00:00:00Z"}
    customer = await make_customer(api)
    problem = await sign_contract(api, customer["id"], plan="long_term", committed_gpu_hours=2000, **rule, expect=422)
    assert problem["errors"][0]["field"] == "rollover"
    signed = await sign_contract(api, customer["id"], plan="prepaid", committed_gpu_hours=500, **rule)
    other = {"plan": "long_term", "committed_gpu_hours": 2000}
    following = await api.post(f"/contracts/{signed['id']}/renewal", {"renew": True, **other})
    (grant,) = (await api.get("/grants", contract_id=following["id"]))["data"]
    assert (grant["quantity"], grant["rollover"]) == (2000 * HOUR, "none")


async def test_all_that_is_unused_is_carried_refunded_or_given_up_at_a_word(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    new = (await renew(api, customer))["id"]
    body = {"contract_id": customer.contract["id"], "kind": "compensation", "gpu_hours": "5", "reason": "an outage"}
    await api.post("/grants", body, expect=201)
    async with system.work() as work:
        terms = await contracts.lock_contract(work, customer.contract["id"])
        assert [each.total for each in await list_refundable(work, terms)] == [Money(2_600_000_000)]
    clock.now = START.replace(month=12, day=2)
    assert sorted(await carry(system, customer.contract["id"], new, whole=True)) == [
        (5 * HOUR, "compensation"),
        (500 * HOUR, "bought"),
    ]
    async with system.work() as work:
        terms = await contracts.lock_contract(work, new)
        assert [each.quantity for each in await refund_grants(work, terms)] == [500 * HOUR]
        assert await expire_grants(work, terms) == 2
    assert (await read_balance(system, new)).available_gpu_seconds == 0
    assert (await accounts_of(system, new))["refunds"] == -2_600_000_000
    assert await broken_rules(system) == {}
