"""What is used within a span: the same whether its days are read or kept, and each moment of it counted once."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from broker.ledger.grants.past_use import DAY, SETTLES, Span, Use, add_up_days, cut_parts, find_midnight, read_use
from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.messages import listing_messages
from tests.broker.worker_calls import dispatched_worker

NOW = datetime(2026, 11, 10, 4, 30, tzinfo=UTC)
USE = Use("2026-11", "tokens", None, False)


@given(st.integers(0, 20 * 86_400), st.integers(0, 20 * 86_400), st.lists(st.integers(0, 22 * 86_400), min_size=1))
def test_each_moment_of_a_span_is_in_one_day_that_is_kept_or_in_one_part(
    begin: int, length: int, charged: list[int]
) -> None:
    begins_at = NOW - timedelta(days=21) + timedelta(seconds=begin)
    span = Span("con", begins_at, begins_at + timedelta(seconds=length))
    moments = [NOW - timedelta(days=21) + timedelta(seconds=each) for each in charged]
    settled = find_midnight(NOW - SETTLES)
    days = {find_midnight(each): Counter[Use]() for each in moments}
    for each in moments:
        days[find_midnight(each)][USE] += 1
    kept = add_up_days({day: used for day, used in days.items() if day < settled}, span, settled)[USE]
    parts = list(cut_parts(0, span, settled))
    read = sum(part.begins_at <= each < part.ends_at for part in parts for each in moments)
    assert kept + read == sum(span.begins_at <= each < span.ends_at for each in moments)
    assert all(part.ends_at - part.begins_at < 2 * DAY or part.ends_at > settled for part in parts)


async def test_days_that_are_over_are_read_once_and_later_spans_have_them(
    api: Api, app: FastAPI, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    clock = system.services.clock

    async def look(days: int) -> tuple[int, int]:
        async with system.work() as work:
            span = Span(customer.contract["id"], work.now - timedelta(days=days), work.now + SETTLES)
            with listing_messages(monkeypatch) as messages:
                (used,) = await read_use(work, [span])
            assert {use.unit for use in used} <= {"gpu_seconds", "tokens"}
            seconds = sum(quantity for use, quantity in used.items() if use.unit == "gpu_seconds")
            return seconds, sum("captures" in message for message in messages)

    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.beat(30)
        assert await look(1) == (30, 2)
        clock.advance(days=2)
        await worker.beat(5)
        assert await look(30) == (35, 2)  # the days since it was looked at last are added
        assert await look(30) == (35, 1)
        assert await look(1) == (5, 1)
        assert await look(120) == (35, 2)  # further back than what was kept
        assert await look(120) == (35, 1)
