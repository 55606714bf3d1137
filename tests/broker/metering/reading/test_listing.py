"""A job's usage, a page at a time: every interval once, whatever the size of the pages, and the sums of all."""

from typing import Any

import pytest

from broker.metering.reading.grouping import write_cursor
from broker.system import System
from tests.broker.conftest import START
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import RunningJob, report_usage, start_job

INTERVALS = 7


@pytest.fixture
async def job(api: Api, system: System) -> RunningJob:
    job = await start_job(system, await make_ready_customer(api))
    for _ in range(INTERVALS):
        await report_usage(system, job, gpu_seconds=2, tokens=10)
    return job


@pytest.mark.parametrize("limit", [1, 3, INTERVALS - 1, INTERVALS, 1000])
async def test_pages_hold_every_interval_once_and_each_the_sums_of_all(api: Api, job: RunningJob, limit: int) -> None:
    sequences, cursor = [], None
    while True:
        position: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        page = await api.get(f"/jobs/{job.id}/usage", limit=limit, **position)
        assert (page["gpu_seconds"], page["tokens"]) == (2 * INTERVALS, 10 * INTERVALS)
        assert len(page["data"]) <= limit
        sequences += [interval["sequence"] for interval in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sequences == list(range(INTERVALS))


async def test_a_cursor_of_another_list_is_refused(api: Api, job: RunningJob) -> None:
    times = (START.isoformat(), "yesterday", START.replace(tzinfo=None).isoformat())
    wrong = [("run_01k", "x", times[0], "e"), ("run_01k", "9" * 20, times[0], "e"), ("run_01k", "0", times[0], "\0")]
    wrong += [("run_01k", "0", times[1], "e"), ("run_01k", "0", times[2], "e"), ("run_01k",)]
    for cursor in ("job_01k", "run_01k/9", *map(write_cursor, wrong)):
        problem = await api.get(f"/jobs/{job.id}/usage", cursor=cursor, expect=422)
        assert problem["errors"][0]["field"].endswith("cursor")


async def test_job_without_usage_has_one_empty_page(api: Api, system: System) -> None:
    job = await start_job(system, await make_ready_customer(api))
    page = await api.get(f"/jobs/{job.id}/usage")
    assert page == {"data": [], "next_cursor": None, "gpu_seconds": 0, "tokens": 0}
