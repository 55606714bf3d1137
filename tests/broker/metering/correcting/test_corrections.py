"""Corrections of what a source has measured: both stay visible, and what is charged is what was told last."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.jobs.admitting.test_submissions import locked, locked_contract, until_waiting
from tests.broker.metering.sources import Meter, open_meter
from tests.broker.running_jobs import broken_rules


@pytest.fixture
async def meter(api: Api) -> AsyncIterator[Meter]:
    async with open_meter(api) as meter:
        await meter.send(meter.event("1", quantity=50_000), meter.event("2", quantity=10_000))
        yield meter


def correction(meter: Meter, corrects: str, quantity: int, event_id: str = "c1", **fields: Any) -> dict[str, Any]:
    data = {"corrects": corrects, "quantity": quantity, "reason": "counted twice"}
    own = {"specversion": "1.0", "type": "lora.usage.correction", "id": event_id, "source": meter.source}
    return own | {"time": START.isoformat(), "data": data} | fields


async def read_draft(meter: Meter, month: str = "2026-11") -> Any:
    return await meter.api.post("/invoices", {"contract_id": meter.contract_id, "month": month}, expect=201)


@pytest.mark.parametrize(("quantity", "total"), [(0, "1.20"), (40_000, "6.00"), (50_000, "7.20"), (90_000, "12.00")])
async def test_what_is_charged_is_what_was_told_last(meter: Meter, system: System, quantity: int, total: str) -> None:
    assert await meter.verdicts(correction(meter, "1", quantity)) == ["accepted"]
    assert await meter.used() == (0, quantity + 10_000)
    assert (await read_draft(meter))["total"]["amount"] == total
    usage = await meter.api.get("/usage")
    assert (usage["tokens"], usage["data"][0]["events"]) == (quantity + 10_000, 3)
    assert await broken_rules(system) == {}


async def test_corrections_follow_each_other_and_each_is_taken_once(meter: Meter, system: System) -> None:
    first, second = correction(meter, "1", 20_000, "c1"), correction(meter, "1", 70_000, "c2")
    third = correction(meter, "1", 60_000, "c3")
    assert await meter.verdicts(first, second, first, third) == ["accepted", "accepted", "duplicate", "accepted"]
    assert await meter.verdicts(second, correction(meter, "1", 5, "c2")) == ["duplicate", "rejected"]
    assert await meter.used() == (0, 70_000)
    assert await broken_rules(system) == {}


async def test_of_several_corrections_the_latest_counts_whenever_it_comes(
    meter: Meter, system: System, clock: ManualClock
) -> None:
    clock.advance(minutes=5)
    told = [
        correction(meter, "1", quantity, f"c{quantity}", time=(START + timedelta(minutes=minute)).isoformat())
        for minute, quantity in ((1, 20_000), (2, 90_000), (3, 60_000))
    ]
    for event_id, order in enumerate(permutations(told), 3):
        await meter.send(meter.event(str(event_id), quantity=1))
        for event in order:
            mine = event | {"id": f"{event_id}-{event['id']}", "data": event["data"] | {"corrects": str(event_id)}}
            assert await meter.verdicts(mine) == ["accepted"]
    assert await meter.used() == (0, 60_000 + 6 * 60_000)
    assert await broken_rules(system) == {}


async def test_what_was_corrected_up_can_be_corrected_to_nothing(meter: Meter, system: System) -> None:
    """It was charged more under a number of its own, and only what was there first could be taken back."""
    await meter.send(meter.event("3", quantity=10))
    assert await meter.verdicts(correction(meter, "3", 1000, "c1"), correction(meter, "3", 0, "c2")) == ["accepted"] * 2
    assert await meter.used() == (0, 60_000)
    assert await broken_rules(system) == {}


async def test_correction_and_what_it_corrects_may_come_in_one_batch(meter: Meter, system: System) -> None:
    batch = [correction(meter, "3", 7), meter.event("3", quantity=70)]
    assert await meter.verdicts(*batch) == ["accepted", "accepted"]
    assert await meter.used() == (0, 60_007)
    assert await broken_rules(system) == {}


async def test_correction_in_a_closed_month_is_on_the_next_invoice(
    meter: Meter, system: System, clock: ManualClock
) -> None:
    draft = await read_draft(meter)
    clock.advance(days=25)
    await meter.api.post(f"/invoices/{draft['id']}/finalize")
    assert await meter.verdicts(correction(meter, "1", 40_000), meter.event("late", quantity=5_000)) == ["accepted"] * 2
    assert (await meter.api.get(f"/invoices/{draft['id']}"))["total"]["amount"] == "7.20"
    following = await read_draft(meter, "2026-12")
    assert following["total"]["amount"] == "-0.60"  # 5,000 late tokens less 10,000 that were none
    assert await broken_rules(system) == {}


async def test_what_cannot_be_corrected_is_rejected_with_its_field(meter: Meter, system: System) -> None:
    await meter.send(correction(meter, "1", 40_000, subject=meter.contract_id))
    refused = {
        "no event": correction(meter, "nobody", 1, "x"),
        "a correction": correction(meter, "c1", 1, "x"),
        "of a run": correction(meter, "1", 1, "x", source="/runs/run_x"),
        "below zero": correction(meter, "1", -1, "x"),
        "no quantity": correction(meter, "1", 1, "x", data={"corrects": "1", "reason": "x"}),
        "of another meter": correction(meter, "1", 1, "x", data={"corrects": "1", "reason": "x", "tokens": 1}),
        "in the future": correction(meter, "1", 1, "x", time="2027-01-01T00:00:00Z"),
        "of another subject": correction(meter, "1", 1, "x", subject="con_nobody"),
        "before it was used": correction(meter, "1", 1, "x", time="2026-01-01T00:00:00Z"),
    }
    outcomes = (await meter.send(*refused.values()))["events"]
    fields = [[fault["field"] for fault in outcome["errors"]] for outcome in outcomes]
    assert fields == [
        ["data.corrects"],
        ["data.corrects"],
        ["source"],
        ["data.quantity"],
        ["data.quantity"],
        ["data.tokens", "data.quantity"],
        ["time"],
        ["subject"],
        ["time"],
    ]
    assert await broken_rules(system) == {}


async def test_one_id_as_a_correction_and_as_an_event_at_one_moment_is_taken_once(
    meter: Meter, system: System, urls: DatabaseUrls
) -> None:
    """The correction had the contract and waited for the key, the event had the key and waited for the contract."""
    with locked_contract(urls, meter.contract_id) as watch:
        corrected = asyncio.create_task(meter.verdicts(correction(meter, "1", 40_000, "x")))
        await until_waiting(watch)
        measured = asyncio.create_task(meter.verdicts(meter.event("x", quantity=7)))
        await until_waiting(watch, 2)
    assert (await corrected, await measured) == (["accepted"], ["rejected"])
    assert await meter.used() == (0, 50_000)
    assert await broken_rules(system) == {}


async def test_requests_with_the_same_ids_crosswise_are_both_taken(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    """One of them ended in a 503, to be sent again."""
    async with open_meter(api) as one:
        customer = await make_ready_customer(api)
        other = Meter(api, one.key, customer)
        await one.send(one.event("1"), other.event("2"))
        with locked(urls, "LOCK TABLE usage_events IN SHARE MODE") as watch:
            requests = [
                asyncio.create_task(meter.verdicts(meter.event(own, quantity=7), correction(meter, of, 50, crossed)))
                for meter, own, of, crossed in ((one, "x", "1", "y"), (other, "y", "2", "x"))
            ]
            await until_waiting(watch, 2)
        answers = sorted([await request for request in requests])
    assert answers == [["accepted", "accepted"], ["rejected", "rejected"]]
    assert await broken_rules(system) == {}


async def test_requests_that_correct_the_same_contracts_crosswise_wait_for_each_other(api: Api, system: System) -> None:
    async with open_meter(api) as one, open_meter(api, source="/inference/eu-2") as other:
        for meter in (one, other):
            await meter.send(meter.event("1", quantity=1_000))
        sent = [(one, other), (other, one), (one, other), (other, one)]
        requests = [
            one.send(*(correction(meter, "1", 100 * number, f"c{number}") for meter in meters))
            for number, meters in enumerate(sent, start=1)
        ]
        answers = await asyncio.gather(*requests)
    assert [event["status"] for answer in answers for event in answer["events"]] == ["accepted"] * 8
    assert await broken_rules(system) == {}
