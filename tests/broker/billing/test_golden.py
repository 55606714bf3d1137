"""The worked month of MISSION, run through real holds and captures, and its invoices to the last character.

`UPDATE_GOLDEN=1 pytest …` writes the files anew; read the difference before you commit it.
"""

import itertools
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.config import Settings
from broker.processes.boot import DatabaseUrls, prepare
from broker.system import System, open_system
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_customer, sign_contract, sign_prepaid, upload_dataset
from tests.broker.running_jobs import HOUR, broken_rules, report_usage, settle, start_job

GOLDEN = Path(__file__).parent / "golden"
RUNS, GPU_SECONDS, TOKENS = 20, 30 * HOUR, 50_000


@pytest.fixture
async def system(settings: Settings, urls: DatabaseUrls, clock: ManualClock) -> AsyncIterator[System]:
    """As everywhere, but with identifiers that count up, so that files can be compared."""
    await (await prepare(settings, urls)).database.close()
    numbers = itertools.count(1)
    system = open_system(settings, urls.app, clock=clock, id_factory=lambda prefix: f"{prefix}_{next(numbers):06d}")
    yield system
    await system.database.close()


async def sign(api: Api, customer_id: str, plan: str) -> Any:
    if plan == "prepaid":
        return await sign_prepaid(api, customer_id, hours=RUNS * GPU_SECONDS // HOUR)
    hours = 2000 if plan == "long_term" else 0
    return await sign_contract(api, customer_id, plan=plan, committed_gpu_hours=hours)


async def run_worked_month(api: Api, system: System, clock: ManualClock, plan: str) -> Any:
    """Twenty runs, one after the other, in November; its usage invoice, made final in December."""
    owner = await make_customer(api, f"Customer on {plan}")
    contract = await sign(api, owner["id"], plan)
    customer = Customer(owner["id"], contract, await upload_dataset(api, owner["id"]))
    for _ in range(RUNS):
        job = await start_job(system, customer, gpu_seconds=GPU_SECONDS, tokens=TOKENS)
        for gpu_seconds, tokens in ((1, 7), (GPU_SECONDS // 3, 16_667), (GPU_SECONDS - GPU_SECONDS // 3 - 1, 33_326)):
            await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
        await settle(system, job)
        clock.advance(hours=12)
    clock.advance(days=15)
    draft = await api.post("/invoices", {"contract_id": contract["id"], "month": "2026-11"}, expect=201)
    return await api.post(f"/invoices/{draft['id']}/finalize")


def renumber(written: str) -> str:
    """Ids by the order in which they appear, so that a file does not hang on how many ids the service made before."""
    seen: dict[str, list[str]] = {}

    def number(found: re.Match[str]) -> str:
        known = seen.setdefault(found["prefix"], [])
        if found[0] not in known:
            known.append(found[0])
        return f"{found['prefix']}_{known.index(found[0]) + 1}"

    return re.sub(r"(?P<prefix>inv|cus|con|job|gra)_\d{6}", number, written)


def compare_with_golden(name: str, document: Any) -> None:
    path = GOLDEN / f"{name}.json"
    written = renumber(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    if "UPDATE_GOLDEN" in os.environ:
        path.write_text(written, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == written


def sum_amounts(invoice: Any, kind: str) -> str:
    fen = sum(int(line["amount"]["amount"].replace(".", "")) for line in invoice["lines"] if line["kind"] == kind)
    return f"{fen / 100:,.2f}"


@pytest.mark.story
@pytest.mark.parametrize(
    ("plan", "usage", "advance", "total"),
    [
        ("on_demand", "4,200.00", "0.00", "4200.00"),
        ("prepaid", "3,210.00", "-3,120.00", "90.00"),
        ("long_term", "2,460.00", "0.00", "2460.00"),
    ],
)
async def test_worked_month_is_invoiced_to_the_fen(
    api: Api, system: System, clock: ManualClock, plan: str, usage: str, advance: str, total: str
) -> None:
    invoice = await run_worked_month(api, system, clock, plan)
    assert (sum_amounts(invoice, "usage"), sum_amounts(invoice, "advance")) == (usage, advance)
    assert invoice["total"]["amount"] == total
    compare_with_golden(f"worked_month_{plan}", invoice)
    assert await broken_rules(system) == {}


async def test_advance_invoice_of_the_worked_month(api: Api, system: System) -> None:
    owner = await make_customer(api, "Customer on prepaid")
    contract = await sign_prepaid(api, owner["id"], hours=RUNS * GPU_SECONDS // HOUR)
    invoice = await api.get(f"/invoices/{contract['advance_invoice_id']}")
    assert invoice["total"]["amount"] == "3120.00"
    compare_with_golden("worked_month_prepaid_advance", invoice)


async def test_capped_job_is_invoiced_at_its_cap(api: Api, system: System, clock: ManualClock) -> None:
    """Seven hours and 30,000 tokens cost 51.20; the quote said at most 42.00, over the end of a month as well."""
    owner = await make_customer(api, "Customer with a cap")
    contract = await sign_contract(api, owner["id"], quote_guarantee="cap")
    customer = Customer(owner["id"], contract, await upload_dataset(api, owner["id"]))
    job = await start_job(
        system, customer, gpu_seconds=6 * HOUR, tokens=TOKENS, quote_guarantee="cap", cap_micros=42_000_000
    )
    for days, gpu_seconds, tokens in ((0, 4 * HOUR, 20_000), (25, HOUR + 17, 10_000), (1, 2 * HOUR - 17, 0)):
        clock.advance(days=days)
        await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    await settle(system, job)
    invoices = []
    for month in ("2026-11", "2026-12"):
        draft = await api.post("/invoices", {"contract_id": contract["id"], "month": month}, expect=201)
        clock.advance(days=31)
        invoices.append(await api.post(f"/invoices/{draft['id']}/finalize"))
    assert sum(int(invoice["total"]["amount"].replace(".", "")) for invoice in invoices) == 42_00
    compare_with_golden("capped_job", invoices)
    assert await broken_rules(system) == {}
