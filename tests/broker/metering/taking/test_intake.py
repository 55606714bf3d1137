"""Usage from outside: each event of a batch is judged by itself, taken once for ever, and charged by the same rules."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from broker.metering.events.posted import MAX_BATCH
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer, sign_contract
from tests.broker.metering.sources import Meter, open_meter
from tests.broker.running_jobs import broken_rules

JSON = {"content-type": "application/json"}
ALONE = {"content-type": "application/cloudevents+json"}


@pytest.fixture
async def meter(api: Api) -> AsyncIterator[Meter]:
    async with open_meter(api) as meter:
        yield meter


async def test_each_event_gets_its_own_answer_in_the_events_order(meter: Meter, system: System) -> None:
    """A duplicate within the batch is one, the same id with another content a conflict, and no bad one sinks it."""
    events = [
        meter.event("1"),
        meter.event("bad", quantity=-5),
        meter.event("1"),
        meter.event("1", quantity=7),
        meter.event("2", meter="gpu_seconds", quantity=30),
        "no event at all",
    ]
    receipt = await meter.send(*events)
    told = [(each["id"], each["status"], [fault["field"] for fault in each["errors"]]) for each in receipt["events"]]
    assert told == [
        ("1", "accepted", []),
        ("bad", "rejected", ["data.quantity"]),
        ("1", "duplicate", []),
        ("1", "rejected", ["id"]),
        ("2", "accepted", []),
        (None, "rejected", ["body"]),
    ]
    assert (receipt["accepted"], receipt["duplicates"], receipt["rejected"]) == (2, 1, 3)
    assert await meter.used() == (30, 100)
    assert await broken_rules(system) == {}


async def test_event_is_charged_once_however_often_and_whenever_it_is_sent(
    meter: Meter, system: System, clock: ManualClock
) -> None:
    assert await meter.verdicts(meter.event("1"), meter.event("2")) == ["accepted", "accepted"]
    clock.advance(days=400)
    again = await meter.send(meter.event("2"), meter.event("1"), meter.event("1", quantity=101))
    assert [each["status"] for each in again["events"]] == ["duplicate", "duplicate", "rejected"]
    assert await meter.used() == (0, 200)
    assert await broken_rules(system) == {}


async def test_event_that_was_taken_is_a_duplicate_whatever_comes_under_its_id_before_it(meter: Meter) -> None:
    """A guard: the first of a batch decided over those after it, though it was in conflict with what was kept."""
    kept, other = meter.event("1"), meter.event("1", quantity=7)
    assert await meter.verdicts(kept) == ["accepted"]
    assert await meter.verdicts(other, kept, other) == ["rejected", "duplicate", "rejected"]
    assert await meter.used() == (0, 100)


async def test_batches_that_share_events_and_come_at_once_are_charged_once(meter: Meter, system: System) -> None:
    events = [meter.event(str(number)) for number in range(20)]
    batches = [events, events[::-1], events[5:15], events[::2]]
    answers = await asyncio.gather(*(meter.send(*batch) for batch in batches))
    assert sum(answer["accepted"] for answer in answers) == 20
    assert sum(answer["rejected"] for answer in answers) == 0
    assert await meter.used() == (0, 2000)
    assert await broken_rules(system) == {}


async def test_usage_is_on_the_draft_of_its_contract(meter: Meter) -> None:
    await meter.send(meter.event("1", quantity=10_000), meter.event("2", meter="gpu_seconds", quantity=3600))
    draft = await meter.api.post("/invoices", {"contract_id": meter.contract_id, "month": "2026-11"}, expect=201)
    assert [line["description"] for line in draft["lines"]] == [
        "GPU-hours, reported by /inference/eu-1",
        "tokens, reported by /inference/eu-1",
    ]
    assert draft["total"]["amount"] == "8.00"
    report = await meter.api.get("/reports/monthly-cost", month="2026-11")
    assert (report["data"][0]["tokens"], report["data"][0]["jobs"]) == (10_000, 0)


def spoil(**fields: Any) -> Any:
    return lambda meter: meter.event("x", **fields)


REFUSED = {
    "quantity below zero": (spoil(quantity=-1), "data.quantity"),
    "absurd quantity": (spoil(quantity=10**13), "data.quantity"),
    "quantity that is no whole number": (spoil(quantity=1.5), "data.quantity"),
    "quantity that is a truth value": (spoil(quantity=True), "data.quantity"),
    "no object": (lambda _meter: ["event"], "body"),
    "unknown meter": (spoil(meter="pixels"), "data.meter"),
    "a price of its own": (spoil(currency="USD"), "data.currency"),
    "future": (spoil(time=(START + timedelta(seconds=31)).isoformat()), "time"),
    "before the contract": (spoil(time="2026-10-31T23:59:59Z"), "time"),
    "begins before the contract": (spoil(started_at="2026-10-31T23:59:59Z"), "data.started_at"),
    "begins after its end": (spoil(started_at=(START + timedelta(seconds=1)).isoformat()), "data.started_at"),
    "no time zone": (spoil(time="2026-11-10T04:00:00"), "time"),
    "unknown contract": (spoil(subject="con_nobody"), "subject"),
    "unknown source": (spoil(source="/elsewhere"), "source"),
    "source with a blank": (spoil(source="/inference eu"), "source"),
    "no id": (lambda meter: meter.event(""), "id"),
    "long id": (lambda meter: meter.event("x" * 201), "id"),
    "other version of CloudEvents": (spoil(specversion="0.3"), "specversion"),
    "unknown type": (spoil(type="lora.usage.total"), "type"),
    "label with a capital": (spoil(labels={"Team": "a"}), "data.labels.Team"),
    "label of two lines": (spoil(labels={"team": "a\nb"}), "data.labels.team"),
    "label of another kind": (spoil(labels={"team": {"a": 1}}), "data.labels.team"),
    "extension that is none": (lambda meter: meter.event("x") | {"data_base64": "AA=="}, "data_base64"),
    "a megabyte": (lambda meter: meter.event("x") | {"trace": "x" * 2**20}, "trace"),
    "NUL": (spoil(labels={"team": "a\x00"}), "data.labels.team"),
    "half a surrogate pair": (spoil(labels={"team": "\ud800"}), "data.labels.team"),
    "half a surrogate pair in its id": (lambda meter: meter.event("\ud800"), "id"),
    "half a surrogate pair in its source": (spoil(source="/a\ud800"), "source"),
    "label that turns letters around": (spoil(labels={"team": "a\u202eb"}), "data.labels.team"),
    "no finite number": (spoil(quantity=float("nan")), "data.quantity"),
    "too large for any column": (spoil(quantity=10**30), "data.quantity"),
}


async def test_bad_event_is_rejected_with_its_field_and_the_one_beside_it_is_taken(meter: Meter) -> None:
    for number, (reason, (make, field)) in enumerate(REFUSED.items()):
        batch = json.dumps([make(meter), meter.event(f"good {number}")])
        answer = (await meter.key.call("POST", "/usage-events", expect=202, content=batch, headers=JSON)).json()
        bad, good = answer["events"]
        assert (bad["status"], good["status"]) == ("rejected", "accepted"), reason
        assert [fault["field"] for fault in bad["errors"]] == [field], reason
        alone = await meter.key.call("POST", "/usage-events", content=json.dumps(make(meter)), headers=ALONE)
        assert (alone.status_code, alone.json()["errors"][0]["field"]) == (422, field), reason
    assert await meter.used() == (0, 100 * len(REFUSED))


async def test_names_of_faults_can_be_sent(meter: Meter) -> None:
    batch = json.dumps([meter.event("x") | {"trace": {"\ud800": "\x00"}}])
    answer = (await meter.key.call("POST", "/usage-events", expect=202, content=batch, headers=JSON)).json()
    assert [fault["field"] for fault in answer["events"][0]["errors"]] == ["trace", r"trace.\ud800"]


async def test_batch_that_is_too_large_is_refused_whole(meter: Meter) -> None:
    events = [meter.event(str(number)) for number in range(MAX_BATCH + 1)]
    problem = await meter.send(*events, expect=422)
    assert problem["errors"][0]["message"] == "has 501 events; send at most 500 at once"
    assert (await meter.send())["events"] == []
    assert await meter.used() == (0, 0)


async def test_event_alone_with_another_content_is_a_conflict(meter: Meter) -> None:
    for event, status in ((meter.event("1"), 202), (meter.event("1"), 202), (meter.event("1", quantity=5), 409)):
        answer = await meter.key.call("POST", "/usage-events", expect=status, json=event)
    assert answer.json()["type"] == "/problems/event-conflict"


async def test_project_and_job_lead_to_the_contract_that_is_charged(meter: Meter, api: Api, system: System) -> None:
    project = await api.post("/projects", {"customer_id": meter.customer.id, "name": "tea"}, expect=201)
    of_project = meter.event("1", subject=project["id"])
    assert await meter.verdicts(of_project) == ["accepted"]
    second = await sign_contract(api, meter.customer.id)
    outcome = (await meter.send(meter.event("2", subject=project["id"])))["events"][0]
    assert outcome["errors"][0]["field"] == "data.contract_id"
    named = meter.event("3", subject=project["id"], contract_id=second["id"])
    assert await meter.verdicts(named, meter.event("4")) == ["accepted", "accepted"]
    assert await meter.used() == (0, 200)
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("follows", [True, False])
async def test_usage_up_to_the_end_of_a_contract_is_of_it_also_where_a_project_is_named(
    api: Api, system: System, clock: ManualClock, follows: bool
) -> None:
    """A guard: what a source measures by the hour ends just where contracts and months do."""
    ends_at = (START + timedelta(hours=1)).isoformat()
    async with open_meter(api, ends_at=ends_at) as meter:
        other = []
        if follows:
            other = [await sign_contract(api, meter.customer.id, starts_at=ends_at, contract_number="N-2")]
        project = await api.post("/projects", {"name": "Chat", "customer_id": meter.customer.id}, expect=201)
        clock.advance(hours=2)
        last = meter.event("last", subject=project["id"], time=ends_at, started_at=START.isoformat())
        at_once = meter.event("at-once", subject=project["id"], time=ends_at, quantity=7)
        assert await meter.verdicts(last, at_once) == ["accepted", "accepted" if follows else "rejected"]
        assert await meter.used() == (0, 100)
        for each in other:
            assert (await api.get(f"/contracts/{each['id']}/balance"))["used_tokens"] == 7
    assert await broken_rules(system) == {}


async def test_source_of_one_customer_reports_for_no_other(meter: Meter, api: Api) -> None:
    other = await make_ready_customer(api)
    await api.post("/usage-sources", {"source": "/own", "name": "Own", "customer_id": other.id}, expect=201)
    theirs, mine = (
        meter.event(source="/own", subject=subject) for subject in (meter.contract_id, other.contract["id"])
    )
    outcomes = (await meter.send(theirs, mine))["events"]
    assert [each["status"] for each in outcomes] == ["rejected", "accepted"]
    assert outcomes[0]["errors"][0] == {
        "field": "subject",
        "message": f"there is no contract, project or job {meter.contract_id}",
    }


async def test_closed_source_is_taken_nothing_from(meter: Meter, api: Api) -> None:
    source = (await api.get("/usage-sources"))["data"][0]
    await api.call("PATCH", f"/usage-sources/{source['id']}", expect=200, json={"open": False})
    assert await meter.verdicts(meter.event()) == ["rejected"]
    await api.post("/usage-sources", {"source": meter.source, "name": "Again"}, expect=409)
    await api.post("/usage-sources", {"source": "/runs/run_x", "name": "A run"}, expect=422)


async def test_usage_after_the_contracts_end_waits_in_quarantine(api: Api, system: System, clock: ManualClock) -> None:
    async with open_meter(api, ends_at="2026-11-20T00:00:00Z") as meter:
        clock.advance(days=20)
        late = meter.event("late", time="2026-11-20T00:00:01Z")
        receipt = await meter.send(late, meter.event("in time", time="2026-11-20T00:00:00Z"))
        assert [(each["status"], each["quarantined"]) for each in receipt["events"]] == [
            ("accepted", "contract_ended"),
            ("accepted", None),
        ]
        listed = (await api.get("/quarantined-usage"))["data"]
        assert [(each["source"], each["reason"], each["tokens"]) for each in listed] == [
            (meter.source, "contract_ended", 100)
        ]
        assert await meter.verdicts(late) == ["duplicate"]
        assert await broken_rules(system) == {}


async def test_usage_of_a_cancelled_contract_waits_in_quarantine(meter: Meter, api: Api, system: System) -> None:
    """A guard: a source that went on naming it had its usage charged to a contract that was never in force."""
    await api.post(f"/contracts/{meter.contract_id}/cancel")
    assert await meter.verdicts(meter.event("1")) == ["accepted"]
    (kept,) = (await api.get("/quarantined-usage", contract_id=meter.contract_id))["data"]
    assert (kept["reason"], kept["status"]) == ("contract_ended", "open")
    assert (await api.post(f"/quarantined-usage/{kept['id']}/retry"))["status"] == "open"
    assert await meter.used() == (0, 0)
    assert await broken_rules(system) == {}


async def test_what_goes_beyond_a_budget_is_borne(api: Api, system: System) -> None:
    async with open_meter(api, monthly_budget="1.00") as meter:
        await meter.send(meter.event("1", quantity=8_000), meter.event("2", quantity=8_000))
        draft = await api.post("/invoices", {"contract_id": meter.contract_id, "month": "2026-11"}, expect=201)
        assert draft["total"]["amount"] == "1.00"
        assert await broken_rules(system) == {}


async def test_customer_reports_no_usage_and_a_meter_does_nothing_else(meter: Meter, api: Api) -> None:
    stranger = await make_customer(api)
    async with customer_api(api, stranger["id"]) as own:
        await own.call("POST", "/usage-events", expect=403, json=meter.event())
    for path in ("/jobs", "/contracts", "/usage-sources", "/whoami"):
        await meter.key.get(path, expect=403)
