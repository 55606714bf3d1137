"""A month of four customers, made through the services: what finance's reports are tried on."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from broker.system import System
from tests.broker.billing.invoicing import bill
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.rate_cards import publish_card, with_tiers
from tests.broker.running_jobs import HOUR, report_usage, start_job

NOVEMBER, DECEMBER = "2026-11", "2026-12"
TAXED = {"tax_mode": "on_top", "tax_rate": "0.06"}
SIGNED_AT = "2026-11-08T00:00:00Z"
TIERS = {"mode": "graduated", "steps": [{"above": 1, "price": "6"}]}
MULTIPLIERS = {"A100-80G": "2"}


@dataclass
class FinanceWorld:
    """The customers, by what is special of each."""

    tiered: Customer
    prepaid: Customer
    capped: Customer
    committed: Customer

    @property
    def all(self) -> list[Customer]:
        return [self.tiered, self.prepaid, self.capped, self.committed]


async def make_world(api: Api, system: System) -> FinanceWorld:
    """Make customers on three plans, with projects, GPU types, tax, tiers, a gift, a cap, and a commitment's end."""
    await publish_card(
        system, "typed", date(2026, 11, 7), plans=with_tiers(gpu_hours=TIERS), gpu_multipliers=MULTIPLIERS
    )
    world = FinanceWorld(
        tiered=await make_ready_customer(api, starts_at=SIGNED_AT, contract_number="HT-1"),
        prepaid=await make_ready_customer(
            api, plan="prepaid", overage="contract", starts_at=SIGNED_AT, contract_number="HT-2", **TAXED
        ),
        capped=await make_ready_customer(api, starts_at=SIGNED_AT, quote_guarantee="cap", **TAXED),
        committed=await make_ready_customer(
            api,
            plan="long_term",
            committed_gpu_hours=2000,
            starts_at=SIGNED_AT,
            ends_at=(START + timedelta(days=10)).isoformat(),
        ),
    )
    tone = await make_project(api, world.prepaid, "brand-tone")
    await use(system, world.tiered, 3 * HOUR + 7, 12_841)
    await use(system, world.tiered, 95, 57, gpu_type="A100-80G")
    await use(system, world.prepaid, 37, 41, project_id=tone)
    await use(system, world.prepaid, 501 * HOUR, 43, project_id=tone, gpu_type="H100-80G")
    await use(system, world.prepaid, 7, 1)
    await use(system, world.capped, 3 * HOUR, 1000, cap_micros=13_600_000, quote_guarantee="cap")
    await use(system, world.committed, 600 * HOUR + 1, 250)
    gift = {"contract_id": world.capped.contract["id"], "kind": "promotional", "gpu_hours": "1", "reason": "Launch"}
    await api.post("/grants", gift, expect=201)
    await use(system, world.capped, 2 * HOUR, 10)
    return world


async def make_project(api: Api, customer: Customer, name: str) -> str:
    body = {"name": name, "customer_id": customer.id}
    return str((await api.post("/projects", body, expect=201))["id"])


async def use(system: System, customer: Customer, gpu_seconds: int, tokens: int, **fields: Any) -> None:
    job = await start_job(system, customer, **fields)
    await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)


async def close(api: Api, clock: ManualClock, world: FinanceWorld) -> list[Any]:
    """Let the month end, and finalize its invoices."""
    clock.advance(days=25)
    return [await bill(api, customer, NOVEMBER) for customer in world.all]
