"""Pages of jobs are written past the shapes: byte for byte what the shapes write, of jobs of every status and shape."""

from typing import Any

import pytest

from broker.jobs import routes
from broker.jobs.job_pages import PageWanted
from broker.jobs.rules.model import JobStatus
from broker.processes.boot import DatabaseUrls
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, submit_job
from tests.broker.messages import listing_messages
from tests.broker.rows import owner_connection

REMAINING = (
    '{"steps": 16, "tokens": 6420, "gpu_seconds": {"p50": 48, "p90": 90}, "cost":'
    ' {"p50": {"amount": "0.61", "currency": "CNY"}, "p90": {"amount": "0.70", "currency": "CNY"}}}'
)
REASON = '{"code": "budget", "message": "a \\"b\\" 显卡 \\u0001", "position": 3, "evidence": {"free": null}, "more": 1}'
# What is written as a job's own part is where it has no expected end: as names in their order, and in a text.
ENDLESS = r'{"expected_end": null, "progress": [1.50, 2e30], "z": "\"expected_end\":null,\"progress\":"}'
# What is written into a job of each status, and into one more.
SHAPES: list[tuple[str, str]] = [
    ("queued", f"pending_reason = '{REASON}', expected_start = '2026-11-10T05:00:00.5Z', latest_start = now()"),
    ("queued", "expected_start = '2026-11-10T04:00:30Z', stop_requested = 'cancel', labels = '{\"队\": \"é\\\\\"}'"),
    ("dispatched", f"remaining = '{REMAINING}', attempts = 2, gpu_types = NULL"),
    (
        "running",
        'progress = \'{"step": 1, "loss": 1e-7, "expected_end": null}\', used_gpu_seconds = 5000, cap_micros = 7',
    ),
    ("running", f"progress = NULL, config = '{ENDLESS}'"),
    ("queued", f"progress = '{ENDLESS}', error = '{ENDLESS}'"),
    ("paused", f"pause_reason = 'limit', limit_micros = 1420200, limit_gpu_seconds = 180, remaining = '{REMAINING}'"),
    ("succeeded", "started_at = now(), finished_at = now(), borne_micros = 1, borne_tokens = 3, max_cost_micros = 5"),
    ("failed", 'error = \'{"code": "out_of_memory", "at": {"step": 3}}\', name = E\'tone\\t\\\\ "x" \\u2028 😀\''),
    ("cancelled", 'estimate = \'{"gpu_seconds": "lost"}\', gpu_types = \'[{"sku": 7}]\''),
]
QUERIES: list[dict[str, Any]] = [
    {},
    {"limit": 3},
    {"limit": 100, "order": "oldest"},
    {"status": "running"},
    {"status": "running", "order": "oldest", "limit": 1},
    {"status": "dispatched", "limit": 1},
    {"name": "tone"},
    {"queue": "standard", "limit": 2},
    {"contract_id": "con_unknown"},
    {"customer_id": "cus_unknown"},
    {"project_id": "prj_unknown"},
    {"cursor": "cus_01k"},
    {"cursor": "cus_01k", "order": "oldest"},
    {"cursor": "job_0"},
    {"cursor": "job_zzz", "limit": 2},
    {"status": "nothing"},
    {"unheard_of": "1"},
]


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def ask(api: Api, query: dict[str, Any]) -> tuple[Any, ...]:
    response = await api.http.get("/v1/jobs", params=query, headers={"X-Request-Id": "asked-twice"})
    headers = [(name, value) for name, value in response.headers.multi_items() if name != "ratelimit"]  # is counted
    return response.status_code, sorted(headers), response.content


async def ask_shapes(api: Api, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Ask as `ask` does for what is written by way of the shapes."""

    async def leave_to_shapes(*_arguments: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(routes, "write_page", leave_to_shapes)
        return await ask(api, query)


async def test_page_is_what_the_shapes_write(
    api: Api, urls: DatabaseUrls, customer: Customer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [await submit(api, customer) for _ in SHAPES]
    other = await make_ready_customer(api)
    theirs = await submit(api, other)
    with owner_connection(urls) as connection:
        for job_id, (status, written) in zip(jobs, SHAPES, strict=True):
            connection.execute(f"UPDATE jobs SET status = '{status}', {written} WHERE id = '{job_id}'".encode())
    assert {status for status, _written in SHAPES} == set(JobStatus)
    queries = [*QUERIES, {"contract_id": customer.contract["id"]}, {"customer_id": customer.id, "limit": 4}]
    queries += [{"cursor": jobs[4], "limit": limit} for limit in (2, 4, 5)]
    queries += [{"cursor": jobs[4], "limit": 2, "order": "oldest"}, {"customer_id": other.id}]
    async with customer_api(api, customer.id) as own:
        for _cold_then_known in range(2):
            for asker in (own, api):
                for query in queries:
                    assert await ask(asker, query) == await ask_shapes(asker, query, monkeypatch), query
            clock.advance(hours=2)
        listed = [job["id"] for job in (await own.get("/jobs"))["data"]]
    assert listed == jobs[::-1]
    assert theirs not in listed


async def test_known_page_is_one_message_and_a_job_that_changes_is_told_at_once(
    api: Api, urls: DatabaseUrls, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [await submit(api, customer) for _ in range(3)]
    async with customer_api(api, customer.id) as own:
        first = await own.get("/jobs")
        with listing_messages(monkeypatch) as messages:
            assert await own.get("/jobs") == first
        assert len([each for each in messages if each.startswith("BEGIN")]) == 1
        assert not any("SELECT" in each for each in messages if each.startswith("BEGIN"))
        with owner_connection(urls) as connection:
            connection.execute("UPDATE jobs SET name = 'another' WHERE id = %s", [jobs[1]])
        with listing_messages(monkeypatch) as messages:
            names = [job["name"] for job in (await own.get("/jobs"))["data"]]
    assert names == [None, "another", None]
    assert len([each for each in messages if each.startswith("BEGIN")]) == 2


def test_customer_who_asks_for_anothers_jobs_is_told_nothing_off_this_way() -> None:
    """Row-level security hides them, too: neither is the only thing between two tenants."""
    wanted = PageWanted({"customer_id": "cus_other"}, limit=20, cursor=None, oldest_first=False)
    assert wanted.find_versions("cus_own") is None
    assert wanted.find_versions(None) is not None
