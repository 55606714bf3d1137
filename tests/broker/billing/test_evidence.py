"""Evidence of final invoices: it proves their totals, never changes, and is nobody else's."""

import gzip
from datetime import timedelta

import pytest

from broker.billing.evidence import pack_evidence
from broker.metering.reading.charged_intervals import list_charged_intervals
from broker.system import System
from pricing.evidence.verify import verify_evidence
from pricing.rate_card import load_rate_cards
from tests.broker.billing.invoicing import bill, use
from tests.broker.billing.proving import find_unproven
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.running_jobs import HOUR, report_usage, settle, start_job


async def test_an_invoice_is_proven_by_its_intervals_and_the_rate_card(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid", hours=500, tax_mode="included", tax_rate="0.06")
    job = await start_job(system, customer, gpu_seconds=3 * HOUR, tokens=9000)
    for gpu_seconds, tokens in ((1, 7), (95, 4100), (3599, 41)):
        await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    await settle(system, job)
    await use(system, customer, 7, 42)
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    refused = await api.get(f"/invoices/{draft['id']}/evidence", expect=409)
    assert "finalized" in refused["detail"]
    clock.advance(days=40)
    invoice = await bill(api, customer, "2026-11")
    path = f"/v1/invoices/{invoice['id']}/evidence"
    async with customer_api(api, customer.id) as own:
        content = (await own.http.get(path)).content
    verdict = verify_evidence(content, known_cards=load_rate_cards())
    assert verdict.faults == ()
    assert (verdict.number, verdict.total and verdict.total.format_amount()) == (
        invoice["number"],
        invoice["total"]["amount"],
    )
    assert verdict.intervals == 4
    shares = await api.get(f"/invoices/{invoice['id']}/breakdown", label="team")
    assert (shares["total"], shares["undivided"]["amount"]) == (invoice["total"], "0.00")
    assert shares["data"] == [{"value": None, "amount": invoice["total"]}]
    clock.advance(days=10)
    assert (await api.http.get(path)).content == content
    assert await find_unproven(system) == []


async def test_what_was_measured_is_followed_from_the_line_to_the_interval(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    await report_usage(system, job, gpu_seconds=HOUR // 2, tokens=10)
    await settle(system, job)
    clock.advance(days=40)
    invoice = await bill(api, customer, "2026-11")
    evidence = await api.get(f"/invoices/{invoice['id']}/evidence")
    charges = [each for each in evidence["charges"] if each["job_id"] == evidence["lines"][0]["job_id"]]
    (run,) = [each for each in evidence["runs"] if each["run_id"] == charges[0]["run_id"]]
    assert run["intervals"][0]["sequence"] == charges[0]["first"]
    assert run["intervals"][0]["gpu_seconds"] == evidence["lines"][0]["quantity"] == HOUR // 2
    async with system.work() as work:
        told = await list_charged_intervals(work, {run["run_id"]: {0}}, until=START - timedelta(days=1))
    assert [each.sequence for each in told[run["run_id"]]] == [0], "it was charged, so it is told whenever it came"


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [("gzip, deflate", True), ("GZIP; q=0.5", True), ("", False), ("identity", False), ("gzip;q=0", False)],
)
def test_long_evidence_is_compressed_for_who_accepts_it(accepted: str, is_packed: bool) -> None:
    content = b'{"intervals": 1}\n' * 1000
    packed, headers = pack_evidence(content, accepted)
    assert (gzip.decompress(packed) if is_packed else packed) == content
    assert headers.get("Content-Encoding") == ("gzip" if is_packed else None)
    assert headers["Vary"] == "Accept-Encoding"
    assert pack_evidence(content, accepted) == (packed, headers), "always the same bytes"
    assert pack_evidence(b"{}", accepted)[0] == b"{}", "what is short is as long as its heads"
