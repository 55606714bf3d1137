"""A tenant that has one of everything: what another tenant's key must not reach, and no table may give away."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from broker.arrears.tables import ArrearsChange, ArrearsDeletion, ArrearsExtension, ArrearsRecord
from broker.datasets import token_counts
from broker.datasets.service import get_dataset
from broker.datasets.token_counts import CountKey
from broker.exits.tables import CustomerDeletion
from broker.jobs.running.locked_run import lock_any_run
from broker.jobs.running.lost_work import note_marks
from broker.jobs.tables import Eviction, LostWorkRecord, StartPromise, WaitCause
from broker.ledger.service import Mark
from broker.ledger.tables import RateCorrection
from broker.notices.model import Happening
from broker.notices.sending import compose_one
from broker.payments.stripe.tables import StripeCustomer, StripeInvoice, StripePayment, StripeStep
from broker.payments.tables import Payment
from broker.system import System
from broker.webhooks.delivering import claim_due, note_answer
from broker.webhooks.sender import Answer
from broker.webhooks.tables import WebhookOccurrence
from tests.broker.adapter_files import safetensors_file
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import (
    CONFIG,
    Api,
    amend_contract,
    customer_api,
    dispatch,
    jsonl,
    make_customer,
    sign_contract,
    sign_prepaid,
    submit_job,
    upload_dataset,
    usage_event,
    worker_api,
)

# A month ago, which has an invoice of its own.
BEGUN_LAST_MONTH: dict[str, Any] = {
    "plan": "long_term",
    "committed_gpu_hours": 2000,
    "starts_at": "2026-10-01T00:00:00Z",
}


@dataclass(frozen=True)
class Tenant:
    """The ids of what a tenant has. `run_id` has succeeded, `live_run_id` still runs; `key` is a customer's API key."""

    customer_id: str
    key: str
    key_id: str
    project_id: str
    contract_id: str
    dataset_id: str
    upload_id: str
    quote_id: str
    job_id: str
    live_job_id: str
    run_id: str
    live_run_id: str
    adapter_id: str
    invoice_id: str
    credited_invoice_id: str
    credit_note_id: str
    payment_id: str
    adjustment_id: str
    dispute_id: str
    approval_id: str
    fapiao_id: str
    contact_id: str
    endpoint_id: str
    event_id: str
    environment_id: str
    promotion_id: str
    grant_id: str
    purchase_id: str
    amendment_id: str
    simulation_id: str
    person_id: str
    template_id: str
    secret_id: str
    deletion_id: str
    queue: str

    def marks(self) -> set[str]:
        """Every id; none may stand in an answer to somebody else."""
        return {value for name, value in vars(self).items() if name != "queue"}


async def _withdraw_amendment(api: Api, contract_id: str) -> str:
    """Plan an amendment for a date to come and withdraw it; its id."""
    at = api.app.state.services.clock.now + timedelta(days=200)
    amended = await amend_contract(api, contract_id, purchase_order="PO-4712", effective_at=at.isoformat())
    await api.post(f"/contracts/{contract_id}/amendments/{amended['id']}/withdraw", {})
    return str(amended["id"])


async def issue_fapiao(api: Api, customer_id: str) -> str:
    """Request a fapiao of what was paid ahead, and issue it with a file; its id."""
    settings = api.app.state.services.settings
    settings.fapiao_item, settings.fapiao_tax_code, settings.fapiao_tax_rate = "*服务*算力", "3" * 19, Decimal("0.06")
    asked = {"customer_id": customer_id, "kind": "normal", "title": {"name": "Tea"}, "amount": "10.00"}
    fapiao = await api.post("/fapiao", asked, expect=201)
    number = str(int(hashlib.sha256(customer_id.encode()).hexdigest(), 16))[:20]
    await api.post(f"/fapiao/{fapiao['id']}/issue", {"number": number, "issued_on": "2026-11-09"})
    files, fields = {"file": ("fapiao.pdf", f"%PDF-1.7 {customer_id}".encode())}, {"format": "pdf"}
    await api.call("POST", f"/fapiao/{fapiao['id']}/files", expect=201, files=files, data=fields)
    return str(fapiao["id"])


async def put_bytes(worker: Api, path: str, content: bytes, *, expect: int = 201, fence: int = 1) -> Any:
    headers = {"X-Fence-Token": str(fence), "X-Content-SHA256": hashlib.sha256(content).hexdigest()}
    return (await worker.call("PUT", path, expect=expect, content=content, headers=headers)).json()


async def finish_job(
    api: Api, system: System, job_id: str, *, gpu_seconds: int = 30, tokens: int = 200, content: bytes | None = None
) -> str:
    """Run a dispatched job to its end, in the time that its usage takes by the broker's clock; the id of its run."""
    clock = system.services.clock
    assert isinstance(clock, ManualClock)
    run_id = str((await api.get(f"/jobs/{job_id}/runs"))["data"][0]["id"])
    async with worker_api(api.app, system, run_id) as worker:
        await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1})
        unbelievable = usage_event(run_id, 1, started_at=datetime(2001, 1, 1, tzinfo=UTC))
        usage = [usage_event(run_id, gpu_seconds=gpu_seconds, tokens=tokens, started_at=clock.now), unbelievable]
        clock.advance(seconds=gpu_seconds)
        losses = [{"first_step": 1, "step": 1, "mean": 2.0, "low": 2.0, "high": 2.0}]
        await worker.post(f"/runs/{run_id}/heartbeats", {"fence_token": 1, "usage": usage, "losses": losses})
        line = {"number": 0, "at": START.isoformat(), "text": "training from step 0 to 1"}
        await worker.post(f"/runs/{run_id}/logs", {"fence_token": 1, "lines": [line]})
        await put_bytes(worker, f"/runs/{run_id}/checkpoints/1", b"a checkpoint")
        await put_bytes(worker, f"/runs/{run_id}/adapter", content or safetensors_file())
        await worker.post(f"/runs/{run_id}/finish", {"fence_token": 1, "outcome": "succeeded"})
    return run_id


async def keep_count(system: System, dataset_id: str) -> None:
    """Keep a part of a count of the data set, which is too small for a count that the broker would keep."""
    key = CountKey(dataset_id, "a tokenizer")
    async with system.work() as work:
        await token_counts.ask_for_count(work, key, await get_dataset(work, dataset_id), "a model", waits=True)
        claim = await token_counts.claim_count(work, "a counter")
        assert claim is not None
        assert await token_counts.keep_part(work, claim, 0, b"counts", 8)
        await token_counts.finish_count(work, claim)


async def keep_lost_work(system: System, run_id: str) -> None:
    """Keep the records of a run that lost work and of a closed month's correction, as a run of long ago has them."""
    async with system.work() as work:
        locked = await lock_any_run(work, run_id)
        await note_marks(work, locked, [Mark(step=1, sequence=0)])
        own = {"customer_id": locked.job.customer_id, "job_id": locked.job.id, "created_at": work.now}
        lost = {"run_id": run_id, "cause": "machine_lost", "gpu_seconds": 1, "tokens": 1}
        work.session.add(LostWorkRecord(**own, **lost))
        whom = {"reason": "guarantee", "for_job_id": locked.job.id, "for_contract_id": locked.job.contract_id}
        place = {"pool": "test", "node": "test", "gpus": 1, "kept_gpus": 1}
        prices = dict.fromkeys(("price_micros", "for_price_micros", "lost_micros"), 1)
        work.session.add(Eviction(id=work.new_id("evi"), run_id=run_id, **own, **whom, **place, **prices))
        told = dict.fromkeys(("told_at", "p50", "p90", "latest", "started_at", "closed_at"), work.now)
        job = {"customer_id": locked.job.customer_id, "job_id": locked.job.id, "queue": locked.job.queue}
        work.session.add(StartPromise(**job, **told, gpus=1, slips=0))
        whose = {"customer_id": locked.job.customer_id, "job_id": locked.job.id}
        work.session.add(WaitCause(**whose, code="no_open_pool", ended_at=work.now))
        line = {"unit": "tokens", "unit_price": 1, "billable": False, "rate_card_version": "x", "quantity": 1}
        months = {"month": "2027-01", "corrected_month": "2026-10", "used_month": "2026-10", "amount_micros": 0}
        work.session.add(RateCorrection(**own, **line, **months, contract_id=locked.job.contract_id))


async def pay_and_refund(api: Api, customer_id: str, contract_id: str) -> str:
    """Import a payment, keep a part of it as the customer's credit, and ask for that to be paid back; its id."""
    line = {"serial": customer_id, "value_on": "2026-11-05", "amount": "3.00", "payer_name": "Tea"}
    (kept,) = (await api.post("/payments", {"lines": [line]}, expect=201))["lines"]
    claim = {"allocations": [{"contract_id": contract_id, "amount": "1.00"}]}
    await api.post(f"/payments/{kept['payment_id']}/claim", claim)
    way = {"taken_from": "credit", "method": "bank_transfer", "payee": {"name": "Tea", "account": "1"}}
    await api.post("/refunds", {"contract_id": contract_id, "amount": "0.50", "reason": "Test", **way}, expect=201)
    return str(kept["payment_id"])


async def keep_arrears(system: System, customer_id: str, contract_id: str, adapter_id: str) -> None:
    """Keep that the contract once was in arrears, was given time, and that something was deleted of it."""
    async with system.work() as work:
        today = work.now.date()
        own = {"customer_id": customer_id, "contract_id": contract_id, "created_at": work.now}
        sums = {"owed_micros": 0, "debts": []}
        record = ArrearsRecord(id=work.new_id("arr"), **own, **sums, state="current", changed_at=work.now)
        change = ArrearsChange(id=work.new_id("arc"), **own, **sums, before="current", after="grace")
        days = {"first_on": today, "last_on": today, "author": "test", "reason": "Test"}
        extension = ArrearsExtension(id=work.new_id("arx"), **own, **days, kind="extension")
        what = {"kind": "adapter", "object_id": adapter_id, "size_bytes": 1, "announced_on": today}
        work.session.add_all([record, change, extension, ArrearsDeletion(id=work.new_id("ard"), **own, **what)])


async def keep_at_stripe(system: System, customer_id: str, invoice_id: str) -> None:
    """Keep the customer, an invoice, a step and a payment as Stripe has them."""
    async with system.work() as work:
        moments = {"created_at": work.now, "changed_at": work.now}
        work.session.add(StripeCustomer(customer_id=customer_id, email="a@tea.example", collects=False, **moments))
        of = {"customer_id": customer_id, "invoice_id": invoice_id}
        sums = {"asked_fen": 1, "credited_fen": 0, "remaining_fen": 0}
        flags = {"has_lines": True, "is_summary": False, "settled": True}
        work.session.add(StripeInvoice(**of, **sums, **flags, **moments, status="void", stripe_id=f"in_{customer_id}"))
        counts = {"key_number": 1, "failures": 0, "must_search": False, "not_before": work.now}
        named = {"object_id": invoice_id, "step": "void", "kind": "void", "params": {}, "state": "done"}
        work.session.add(StripeStep(**of, **named, **counts, created_at=work.now))
        payment_id = await work.session.scalar(select(Payment.id).where(Payment.customer_id == customer_id))
        paid = {"payment_id": payment_id, "payment_intent": "pi_1", "amount_micros": 1, "created_at": work.now}
        work.session.add(StripePayment(id=f"inpay_{customer_id}", **of, **paid))


async def keep_notice(api: Api, system: System, customer_id: str, contract_id: str) -> str:
    """Name a contact of the customer, and compose a notice for it; the contact's id."""
    body = {"name": "Finance", "address": "finance@example.com"}
    contact = await api.post(f"/customers/{customer_id}/contacts", body, expect=201)
    facts = {"amount": "1.00"}
    async with system.work() as work:
        event_id = work.new_id("coe")
        happened = Happening(event_id, customer_id, contract_id, "payment_credited", facts, work.now)
        await compose_one(work, happened)
    return str(contact["id"])


async def keep_webhooks(api: Api, system: System, customer_id: str) -> tuple[str, str]:
    """Name where a program of the customer's listens, and have it tested in vain; the ids of endpoint and event."""
    body = {"customer_id": customer_id, "name": "CI", "url": "https://hooks.example.com/lora"}
    endpoint = await api.post("/webhook-endpoints", body, expect=201)
    delivery = await api.post(f"/webhook-endpoints/{endpoint['id']}/test", expect=202)
    async with system.work() as work:
        claimed = await claim_due(work, room=10, under_way=[])
        own = next(each for each in claimed if each.turn.delivery_id == delivery["id"])
        await note_answer(work, own, Answer(None, error="it is away"), 1)
        note = {"customer_id": customer_id, "source": "endpoint", "kind": "none", "object_id": endpoint["id"]}
        work.session.add(WebhookOccurrence(**note, data={}, happened_at=work.now))
    return endpoint["id"], delivery["event_id"]


async def keep_promotion(api: Api, customer_id: str, adapter_id: str) -> tuple[str, str]:
    """Name an environment of the customer's, and promote its adapter to the stage of that; the ids of both."""
    body = {"customer_id": customer_id, "name": "box", "stage": "test", "kind": "trainer_serve"}
    environment = await api.post("/environments", {**body, "url": "https://box.example.com"}, expect=201)
    promotion = await api.post(f"/adapters/{adapter_id}/promote", {"stage": "test", "reason": "Test"})
    await api.post("/adapter-retention", {"customer_id": customer_id, "kept_versions": 100})
    return environment["id"], promotion["id"]


async def keep_listeners(api: Api, system: System, customer_id: str, adapter_id: str) -> tuple[str, ...]:
    """Keep a webhook endpoint and an event, an environment and a promotion; their ids."""
    webhooks = await keep_webhooks(api, system, customer_id)
    return *webhooks, *(await keep_promotion(api, customer_id, adapter_id))


async def report_from_outside(api: Api, customer_id: str, contract_id: str) -> None:
    """Register a source of the customer's own, and have it report some tokens."""
    source = f"/inference/{customer_id}"
    body = {"source": source, "name": "Inference", "customer_id": customer_id}
    await api.post("/usage-sources", body, expect=201)
    attributes = {"specversion": "1.0", "type": "lora.usage.measured", "id": "1", "source": source}
    used = {"subject": contract_id, "time": START.isoformat(), "data": {"meter": "tokens", "quantity": 10}}
    await api.post("/usage-events", attributes | used, expect=202)


async def keep_deletion(system: System, customer_id: str) -> str:
    """Keep the record of a deletion at which there was nothing; its id."""
    async with system.work() as work:
        told = {"customer_id": customer_id, "actor_id": "key_test", "entries": [], "created_at": work.now}
        row = CustomerDeletion(id=work.new_id("del"), **told)
        work.session.add(row)
        await work.session.flush()
        return row.id


async def _make_people(own: Api, customer_id: str, project_id: str) -> str:
    """Make a member of a project, and invite a person; its id."""
    member = {"name": "member", "confined_to_projects": True}
    key = await own.post(f"/customers/{customer_id}/api-keys", member, expect=201)
    await own.call("PUT", f"/projects/{project_id}/members/{key['id']}", json={"role": "viewer"}, expect=200)
    return str((await own.post("/people", {"email": f"{customer_id}@example.com"}, expect=201))["id"])


async def _make_template(own: Api, project_id: str) -> str:
    named = {"project_id": project_id, "name": "template_brand", "config": CONFIG}
    return str((await own.post("/templates", named, expect=201))["id"])


async def _keep_secret(api: Api, customer_id: str) -> str:
    told = {"customer_id": customer_id, "name": "wandb-team", "kind": "wandb", "key": "a-key-of-the-tenant"}
    return str((await api.post("/secrets", told, expect=201))["id"])


async def _open_upload(api: Api, customer_id: str) -> str:
    headers, params = {"Tus-Resumable": "1.0.0", "Upload-Length": "12"}, {"customer_id": customer_id}
    return str((await api.call("POST", "/uploads", headers=headers, params=params, expect=201)).json()["id"])


async def make_tenant(api: Api, system: System) -> Tenant:
    customer = (await make_customer(api))["id"]
    made_key = await api.post(f"/customers/{customer}/api-keys", {"name": "laptop"}, expect=201)
    await api.http.post("http://localhost/console/sign-in", data={"key": made_key["key"]})
    prepaid = await sign_prepaid(api, customer)
    contract = (await sign_contract(api, customer, **BEGUN_LAST_MONTH))["id"]
    await amend_contract(api, contract, purchase_order="PO-4711")
    amendment = await _withdraw_amendment(api, contract)
    async with customer_api(api, customer) as own:
        project = (await own.post("/projects", {"name": "brand-tone"}, expect=201))["id"]
        person = await _make_people(own, customer, project)
        template = await _make_template(own, project)
        dataset = (await upload_dataset(own))["id"]
        quote = (await own.post("/quotes", {"config": CONFIG, "dataset_id": dataset}, expect=201))["id"]
        place = {"contract_id": contract, "project_id": project}
        job = (await submit_job(own, dataset, quote_id=quote, key="first", **place))["id"]
        await dispatch(system, gpus=8)
        run = await finish_job(own, system, job)
        live_job = (await submit_job(own, dataset, **place))["id"]
        await dispatch(system, gpus=8)
        live_run = (await own.get(f"/jobs/{live_job}/runs"))["data"][0]["id"]
        adapter = (await own.get("/adapters"))["data"][0]["id"]
        await own.call("PATCH", f"/jobs/{job}", json={"notes": "the best so far", "pinned": True}, expect=200)
        more = {"data": {"purpose": "fine-tune"}, "files": {"file": ("more.jsonl", jsonl())}}
        await own.http.post("/openai/v1/files", **more)
    grant = (await api.get("/grants", contract_id=contract))["data"][0]["id"]
    purchase = (await api.post("/purchases", {"contract_id": contract, "gpu_hours": "10"}, expect=201))["id"]
    await api.call("PATCH", f"/contracts/{contract}/quota", json={"weight": 100, "reason": "as usual"}, expect=200)
    await api.post(f"/contracts/{contract}/top-up", {"threshold_gpu_hours": 1, "purchase_gpu_hours": 50})
    await keep_count(system, dataset)
    await report_from_outside(api, customer, contract)
    doubted = (await api.get("/quarantined-usage", customer_id=customer))["data"][0]["id"]
    await api.post(f"/quarantined-usage/{doubted}/dismiss", {"reason": "unbelievable"})
    note = {"invoice_id": prepaid["advance_invoice_id"], "lines": [{"position": 1, "amount": "1.00"}], "reason": "Test"}
    credit_note = (await api.post("/credit-notes", note, expect=201))["id"]
    dispute = {"invoice_id": prepaid["advance_invoice_id"], "position": 1, "amount": "1.00", "reason": "Test"}
    dispute_id = (await api.post("/disputes", dispute, expect=201))["id"]
    credit = {"kind": "credit", "contract_id": prepaid["id"], "amount": "1.00", "reason": "Test"}
    adjustment = (await api.post("/adjustments", credit, expect=201))["id"]
    approval = (await api.post("/approvals", {"act": "adjustment", "body": credit}, expect=201))["id"]
    past = await api.post("/invoices", {"contract_id": contract, "month": "2026-10"}, expect=201)
    await api.post(f"/invoices/{past['id']}/finalize")
    await api.post("/invoices", {"contract_id": contract, "month": "2026-11"}, expect=201)
    await keep_lost_work(system, run)
    payment = await pay_and_refund(api, customer, contract)
    await keep_arrears(system, customer, contract, adapter)
    await keep_at_stripe(system, customer, past["id"])
    contact = await keep_notice(api, system, customer, contract)
    endpoint, event, environment, promotion = await keep_listeners(api, system, customer, adapter)
    what_if = {"proposal": {"queues": {"standard": {"weight": 200}}}, "begins_at": "2026-11-01T00:00:00Z"}
    simulation = (await api.post("/queues/simulations", what_if, expect=202))["id"]
    return Tenant(
        customer_id=customer,
        key=made_key["key"],
        key_id=made_key["id"],
        project_id=project,
        contract_id=contract,
        dataset_id=dataset,
        upload_id=await _open_upload(api, customer),
        quote_id=quote,
        job_id=job,
        live_job_id=live_job,
        run_id=run,
        live_run_id=live_run,
        adapter_id=adapter,
        invoice_id=past["id"],
        credited_invoice_id=note["invoice_id"],
        credit_note_id=credit_note,
        payment_id=payment,
        adjustment_id=adjustment,
        dispute_id=dispute_id,
        approval_id=approval,
        fapiao_id=await issue_fapiao(api, customer),
        contact_id=contact,
        endpoint_id=endpoint,
        event_id=event,
        environment_id=environment,
        promotion_id=promotion,
        grant_id=grant,
        purchase_id=purchase,
        amendment_id=amendment,
        simulation_id=simulation,
        person_id=person,
        template_id=template,
        secret_id=await _keep_secret(api, customer),
        deletion_id=await keep_deletion(system, customer),
        queue=f"dedicated:{contract}",
    )
