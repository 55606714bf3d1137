"""Grants: one is given by a form, shows what it paid for, and is taken back; large ones are proposed."""

from decimal import Decimal

from fastapi import FastAPI

from broker.system import System
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker


async def test_a_grant_is_given_pays_and_is_taken_back(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    at = f"/console/finance/contracts/{customer.contract['id']}/grant"
    async with sign_in_staff(api, "finance") as finance:
        form = await finance.open(at)
        both = {"kind": "promotional", "gpu_hours": "10", "tokens": "5", "reason": "Welcome"}
        assert (await finance.send(at, both, of=form, form="#give", expect=422)).words_of(".problem")
        given = await finance.send(at, {**both, "tokens": ""}, of=form, form="#give")
        own = str(given.response.headers["location"]).partition("?")[0]
        assert "10.00 h, promotional" in (await finance.open(own)).find("h1")
        job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
        async with dispatched_worker(api, app, system, job_id) as worker:
            await worker.claim()
            await worker.beat(36)
            await worker.finish("succeeded")
        shown = await finance.open(own)
        assert f"/console/finance/month/jobs/{job_id}" in shown.attributes("#draws a", "href")
        assert "Used 0.01 h" in " ".join(shown.words_of(".figure"))
        account = await finance.open(f"/console/finance/customers/{customer.id}")
        assert own in account.attributes("#grants a", "href")
        await finance.send(f"{own}/void", {"reason": "A mistake"}, of=shown, form="#void")
        assert "void" in (await finance.open(own)).text


async def test_a_grant_beyond_what_one_may_give_is_proposed(api: Api) -> None:
    customer = await make_ready_customer(api)
    api.app.state.services.settings.approval_grant = Decimal(10)
    at = f"/console/finance/contracts/{customer.contract['id']}/grant"
    async with sign_in_staff(api, "finance") as finance:
        form = await finance.open(at)
        asked = {"kind": "promotional", "gpu_hours": "1000", "reason": "Welcome"}
        refused = await finance.send(at, asked, of=form, form="#give", expect=409)
        sent = await finance.send(at, {**asked, "propose": "yes"}, of=refused, form="#give")
        assert sent.response.headers["location"].endswith("#approvals")
        assert "Welcome" in (await finance.open("/console/finance/today")).text
