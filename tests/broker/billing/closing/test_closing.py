"""Closing a month: all drafts become final, what stands in the way is named, and who closes twice closes once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from broker.billing import finalizing
from broker.billing.closing import batches, runs
from broker.billing.closing.driving import run_closings
from broker.ledger.books.money_books import book_receipts
from broker.system import System
from pricing.money import Money
from tests.broker.billing.closing.months import DECEMBER, NOVEMBER, close_november, list_numbers, make_november
from tests.broker.billing.proving import find_unproven
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, sign_contract
from tests.broker.running_jobs import broken_rules


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and the transaction is lost."""


async def test_closing_november_makes_all_final_and_locks_its_books(
    api: Api, system: System, clock: ManualClock
) -> None:
    *used, idle = await make_november(api, system, clock)
    before = await api.get(f"/closings/{NOVEMBER}")
    drafts = next(each for each in before["checklist"] if each["name"] == "drafts")
    assert (before["status"], drafts["open"], drafts["blocks"]) == ("open", 3, False)
    assert await close_november(api, system) == "closed"
    numbers = await list_numbers(system)
    assert sorted(numbers) == sorted(each.contract["id"] for each in used)
    assert [numbers[each] for each in sorted(numbers)] == [f"INV-2026-{number:06d}" for number in (1, 2, 3)]
    closed = await api.get(f"/closings/{NOVEMBER}")
    assert (closed["contracts_done"], closed["invoices_finalized"], closed["refused"]) == (4, 3, [])
    again = await api.post("/closings", {"month": NOVEMBER}, expect=409)
    assert again["type"].endswith("/period-closed")
    empty = await api.post("/invoices", {"contract_id": idle.contract["id"], "month": NOVEMBER}, expect=409)
    assert "a later month's invoice" in empty["detail"]
    assert await broken_rules(system) == {}
    assert await find_unproven(system) == []


async def test_a_month_that_a_later_one_has_closed_meanwhile_is_closed_with_it(
    api: Api, system: System, clock: ManualClock
) -> None:
    """Its closing ran for ever, and no closing that was started after it was ever taken on; this guards against it."""
    await make_november(api, system, clock)
    clock.now += timedelta(days=35)
    for month in (DECEMBER, NOVEMBER):
        await api.post("/closings", {"month": month}, expect=202)
    await run_closings(system, ())
    for month in (DECEMBER, NOVEMBER):
        closing = await api.get(f"/closings/{month}/progress")
        assert (closing["status"], closing["ended_at"] is None, closing["refused"]) == ("closed", False, [])
    async with system.work() as work:
        assert await runs.list_running(work) == []
    assert await broken_rules(system) == {}


async def test_a_month_that_is_not_over_is_not_closed(api: Api) -> None:
    refused = await api.post("/closings", {"month": NOVEMBER}, expect=409)
    assert (refused["type"].rsplit("/", 1)[1], refused["month"]) == ("period-still-open", NOVEMBER)
    assert (await api.post("/closings", {"month": "2026-13"}, expect=422))["errors"][0]["field"] == "month"


async def test_what_stands_in_the_way_is_named_and_may_be_accepted(
    api: Api, system: System, clock: ManualClock
) -> None:
    await make_november(api, system, clock, customers=1)
    async with system.work() as work:
        await book_receipts(work, [("nobody's", Money.from_decimal("12.50"), work.now.date())])
    refused = await api.post("/closings", {"month": NOVEMBER}, expect=409)
    assert [each["field"] for each in refused["errors"]] == ["unmatched_receipts"]
    unknown = await api.post("/closings", {"month": NOVEMBER, "accept": ["drafts"]}, expect=422)
    assert unknown["errors"][0]["field"] == "accept"
    assert await close_november(api, system, accept=("unmatched_receipts",)) == "closed"


async def test_a_contract_elsewhere_whose_month_still_runs_is_named_and_the_rest_is_final(
    api: Api, system: System, clock: ManualClock
) -> None:
    await make_november(api, system, clock, customers=1)
    clock.now = clock.now.replace(month=12, day=1, hour=1)  # still November in New York
    customer = await make_ready_customer(api)
    late = await sign_contract(
        api, customer.id, plan="on_demand", time_zone="America/New_York", starts_at="2026-11-20T00:00:00Z"
    )
    assert await close_november(api, system) == "incomplete"
    closing = await api.get(f"/closings/{NOVEMBER}")
    assert [(each["contract_id"], each["month"]) for each in closing["refused"]] == [(late["id"], NOVEMBER)]
    assert closing["invoices_finalized"] == 1
    clock.advance(hours=5)
    assert await close_november(api, system) == "closed"


async def test_a_contract_that_fails_is_named_and_keeps_no_other_from_being_closed(
    api: Api, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, bad, *_rest = sorted(each.contract["id"] for each in await make_november(api, system, clock))
    good = batches.draft_months

    async def fail(work: Any, terms: Any, month: str) -> Any:
        if bad in terms:
            raise LookupError("the books contradict each other")
        return await good(work, terms, month)

    monkeypatch.setattr(batches, "draft_months", fail)
    assert await close_november(api, system) == "incomplete"
    closing = await api.get(f"/closings/{NOVEMBER}")
    assert [each["contract_id"] for each in closing["refused"]] == [bad, None]
    assert closing["refused"][0]["reason"] == "LookupError: the books contradict each other"
    assert first in await list_numbers(system)
    monkeypatch.undo()
    assert await close_november(api, system) == "closed"
    assert sorted((await list_numbers(system)).values()) == [f"INV-2026-{number:06d}" for number in (1, 2, 3)]


STEPS = [
    (runs, "list_findings"),
    (runs, "finalize_contracts"),
    (batches, "draft_months"),
    (batches, "finalize_months"),
    (finalizing, "take_numbers"),
    (finalizing, "number_invoices"),
    (runs, "_note"),
    (runs.ledger, "close_months"),
    (runs.ledger, "book_usage"),
    (runs.ledger, "close_period"),
]


@pytest.mark.parametrize(("place", "name"), STEPS, ids=[name for _place, name in STEPS])
async def test_killed_at_any_step_and_run_again_it_makes_the_same_invoices(
    api: Api, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    customers = await make_november(api, system, clock, customers=2)
    await api.post("/closings", {"month": NOVEMBER}, expect=202)
    with monkeypatch.context() as patch:
        patch.setattr(place, name, die_after(getattr(place, name)))
        with pytest.raises(Killed):
            await run_closings(system, (), size=1)
    await run_closings(system, (), size=1)
    assert (await api.get(f"/closings/{NOVEMBER}"))["status"] == "closed"
    expected = sorted(each.contract["id"] for each in customers[:2])
    numbers = await list_numbers(system)
    assert [(each, numbers[each]) for each in expected] == list(
        zip(expected, ["INV-2026-000001", "INV-2026-000002"], strict=True)
    )
    assert await broken_rules(system) == {}


def die_after(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that does its work and is killed then; also one that is not awaited."""
    if asyncio.iscoroutinefunction(function):

        async def act(*arguments: Any, **named: Any) -> Any:
            await function(*arguments, **named)
            raise Killed

        return act

    def act_at_once(*arguments: Any, **named: Any) -> Any:
        function(*arguments, **named)
        raise Killed

    return act_at_once


async def test_two_closers_at_once_close_once(api: Api, system: System, clock: ManualClock) -> None:
    await make_november(api, system, clock)
    await asyncio.gather(
        *(api.post("/closings", {"month": NOVEMBER}, expect=202) for _ in range(2)),
    )
    await asyncio.gather(*(run_closings(system, (), size=1) for _ in range(3)))
    await run_closings(system, (), size=1)
    assert (await api.get(f"/closings/{NOVEMBER}"))["status"] == "closed"
    assert sorted((await list_numbers(system)).values()) == [f"INV-2026-{number:06d}" for number in (1, 2, 3)]
    assert await broken_rules(system) == {}


async def test_the_split_into_batches_changes_nothing(api: Api, system: System, clock: ManualClock) -> None:
    """One big batch numbers as batches of one do; so does closing by hand, in the order of the contracts."""
    await make_november(api, system, clock)
    assert await close_november(api, system, size=100) == "closed"
    numbers = await list_numbers(system)
    assert [numbers[each] for each in sorted(numbers)] == [f"INV-2026-{number:06d}" for number in (1, 2, 3)]
    assert await find_unproven(system) == []
