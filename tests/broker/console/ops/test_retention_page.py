"""Rules of retention on their page: nothing is applied before it was seen what the next sweep would remove by it."""

from fastapi import FastAPI

from broker.system import System
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.tenants import put_bytes
from tests.broker.worker_calls import dispatched_worker

PAGE = "/console/ops/retention"


async def test_a_rule_is_foreseen_then_applied_and_given_back(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        for step in (1, 2, 3):
            await put_bytes(worker.api, f"/runs/{worker.run_id}/checkpoints/{step}", b"x" * 100)
    async with sign_in_staff(api, "ops") as person:
        page = await person.open(PAGE)
        names, values = [page.attributes("#rules td input", each) for each in ("name", "value")]
        as_it_is = dict(zip(names, values, strict=True))
        assert as_it_is["kept_checkpoints"] == "3"
        quiet = await person.send(PAGE, {**as_it_is, "step": "preview"}, of=page, form="#rules", expect=200)
        assert ("It would remove nothing." in quiet.find("#foreseen"), quiet.words_of(".danger")) == (True, [])
        wrong = {**as_it_is, "orphan_hours": "0", "step": "preview"}
        refused = await person.send(PAGE, wrong, of=page, form="#rules", expect=422)
        assert refused.words_of("#f-orphan_hours-error") != []
        fewer = {**as_it_is, "kept_checkpoints": "1"}
        blind = await person.send(PAGE, {**fewer, "step": "apply"}, of=page, form="#rules", expect=200)
        assert "checkpoints 2 200 B" in blind.find("#foreseen tbody tr")
        assert (await api.get("/retention"))["rules"][0]["changed_by"] is None, "it is shown first"
        other = {**fewer, "run_log_days": "3", "step": "apply"}
        await person.send(PAGE, other, of=blind, form="#rules", expect=200)
        await person.send(PAGE, {**fewer, "step": "apply"}, of=blind, form="#rules")
        done = await person.open(PAGE, done="1")
        assert done.attributes("#f-kept_checkpoints", "value") == ["1"]
        emptied = {**as_it_is, "kept_checkpoints": ""}
        seen = await person.send(PAGE, {**emptied, "step": "preview"}, of=done, form="#rules", expect=200)
        await person.send(PAGE, {**emptied, "step": "apply"}, of=seen, form="#rules")
    sent = [entry["sent"] for entry in (await api.get("/audit", action="change_retention"))["data"]]
    assert sent == [{"kept_checkpoints": None}, {"kept_checkpoints": 1}]
