"""The pages of customers: each of them with nothing there, with much there, and of another tenant."""

from typing import Any

import pytest

from broker.system import System
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import (
    CONFIG,
    Api,
    Customer,
    customer_api,
    dispatch,
    make_customer,
    make_ready_customer,
    submit_job,
)
from tests.broker.tenants import finish_job

TABS = ("overview", "grants", "bills", "fapiao", "contracts", "budgets", "ledger")
OF_A_JOB = ("overview", "training", "log", "settings")
EMPTY = (
    "/console/",
    "/console/jobs",
    "/console/jobs/new",
    "/console/jobs/stop",
    "/console/jobs/compare",
    "/console/datasets",
    "/console/adapters",
    "/console/adapters/compare",
    "/console/keys",
    "/console/webhooks",
    "/console/environments",
    "/console/secrets",
    "/console/people",
    "/console/account",
    *(
        f"/console/billing?tab={tab}"
        for tab in ("overview", "grants", "bills", "fapiao", "contracts", "budgets", "ledger")
    ),
)


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_customer_with_nothing_is_told_what_each_page_is_for(api: Api, language: str) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"], language=language) as person:
        for path in EMPTY:
            shown = await person.open(path)
            assert shown.tree.css("h1"), path
            assert not shown.tree.css(".problem"), path
            assert "None" not in shown.text, path


async def make_world(api: Api, system: System) -> tuple[Customer, dict[str, Any]]:
    """Make a customer with a job that succeeded, one that waits, and all that comes with them."""
    customer = await make_ready_customer(api, plan="prepaid", monthly_budget="5000.00")
    data = customer.dataset["id"]
    async with customer_api(api, customer.id) as own:
        quote = await own.post("/quotes", {"config": CONFIG, "dataset_id": data}, expect=201)
        done = await submit_job(own, data, name="brand tone", quote_id=quote["id"], config=quote["config"])
        await dispatch(system)
        await finish_job(own, system, done["id"])
        ids = {"done": done["id"], "waiting": (await submit_job(own, data, name="brand tone 2"))["id"]}
        for kind in ("adapter", "invoice", "grant"):
            ids[kind] = (await own.get(f"/{kind}s"))["data"][0]["id"]
    return customer, ids


def list_pages(customer: Customer, ids: dict[str, str]) -> list[str]:
    dataset = customer.dataset["id"]
    return [
        *EMPTY,
        *(
            f"/console/jobs/{ids[which]}?tab={tab}"
            for which in ("done", "waiting")
            for tab in ("overview", "training", "log", "settings")
        ),
        f"/console/jobs/{ids['done']}?tab=training&scale=log",
        f"/console/jobs/{ids['waiting']}/stop",
        f"/console/jobs/stop?ids={ids['done']},{ids['waiting']}",
        f"/console/jobs/compare?ids={ids['done']},{ids['waiting']}",
        f"/console/jobs/new?like={ids['done']}",
        f"/console/datasets/{dataset}",
        f"/console/datasets/{dataset}/check",
        f"/console/adapters/{ids['adapter']}",
        f"/console/adapters/{ids['adapter']}/lineage",
        f"/console/adapters/compare?ids={ids['adapter']},{ids['adapter']}",
        f"/console/billing/invoices/{ids['invoice']}",
        f"/console/billing?tab=grants&grant_id={ids['grant']}",
        "/console/billing?tab=overview&as_of=2026-11-09",
        "/console/billing?tab=contracts&plan=long_term&hours=2000",
    ]


@pytest.mark.story
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_page_shows_what_there_is_and_nobody_elses(api: Api, system: System, language: str) -> None:
    customer, ids = await make_world(api, system)
    other = await make_customer(api)
    async with sign_in_customer(api, customer.id, language=language) as person:
        for path in list_pages(customer, ids):
            shown = await person.open(path)
            assert not shown.tree.css(".problem"), path
            assert "None" not in shown.text, path
            assert shown.tree.css("[style], style, script:not([src])") == [], path
    async with sign_in_customer(api, other["id"]) as stranger:
        for path in (
            f"/console/jobs/{ids['done']}",
            f"/console/jobs/{ids['done']}/losses.csv",
            f"/console/jobs/{ids['done']}/stop",
            f"/console/jobs/new?like={ids['done']}",
            f"/console/datasets/{customer.dataset['id']}",
            f"/console/datasets/{customer.dataset['id']}/pictures/0",
            f"/console/adapters/{ids['adapter']}",
            f"/console/adapters/{ids['adapter']}/file",
            f"/console/adapters/{ids['adapter']}/lineage",
            f"/console/billing/invoices/{ids['invoice']}",
            f"/console/billing/invoices/{ids['invoice']}/file",
            f"/console/billing?tab=overview&contract_id={customer.contract['id']}",
        ):
            await stranger.open(path, expect=404)
