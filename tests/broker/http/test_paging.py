"""Lists: every row exactly once, newest first, and no query more for more rows."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from broker.system import System
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer, submit_job, upload_dataset
from tests.broker.tenants import make_tenant

LISTS = (
    "/customers",
    "/api-keys",
    "/projects",
    "/contracts",
    "/datasets",
    "/jobs",
    "/adapters",
    "/invoices",
    "/queues",
    "/pools",
    "/reports/monthly-cost?month=2026-11",
)


async def walk(api: Api, path: str, **params: Any) -> AsyncIterator[list[str]]:
    cursor = None
    for _page in range(50):
        page = await api.get(path, **params, **({"cursor": cursor} if cursor else {}))
        yield [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return
    pytest.fail("the walk does not end")


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
async def test_pages_hold_every_row_exactly_once_newest_first(api: Api, limit: int) -> None:
    made = [(await make_customer(api))["id"] for _ in range(6)]
    pages = [page async for page in walk(api, "/customers", limit=limit)]
    assert [id_ for page in pages for id_ in page] == sorted(made, reverse=True)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len(pages) == max(1, -(-6 // limit))


async def test_pages_of_names_hold_every_row_once_in_the_list_s_own_order(api: Api, system: System) -> None:
    await make_tenant(api, system)
    for path in ("/queues", "/pools"):
        whole = [row["name"] for row in (await api.get(path))["data"]]
        for limit in (1, 2, 100):
            assert await walk_names(api, path, limit=limit) == whole, (path, limit)
        assert (await api.get(path, cursor="nobody", expect=422))["errors"][0]["field"] == "cursor"


NARROWED = [
    ("/grants", "contract_id"),
    ("/grants", "project_id"),
    ("/invoices", "customer_id"),
    ("/jobs", "customer_id"),
    ("/jobs", "contract_id"),
    ("/jobs", "batch_id"),
    ("/credit-notes", "invoice_id"),
    ("/adapters", "job_id"),
    ("/quarantined-usage", "contract_id"),
    ("/ledger/accounts", "grant_id"),
    ("/ledger/entries", "account_id"),
    ("/ledger/entries", "transfer_id"),
    ("/ledger/entries", "contract_id"),
    ("/purchases", "contract_id"),
]


async def test_list_of_what_there_is_not_says_so_instead_of_being_empty(api: Api) -> None:
    for path, name in NARROWED:
        problem = await api.get(path, **{name: "xyz_nope"}, expect=404)
        assert problem["detail"].endswith(" xyz_nope."), (path, name)


async def test_list_of_another_tenants_contract_is_as_one_that_there_is_not(api: Api, system: System) -> None:
    mine, theirs = await make_customer(api), await make_ready_customer(api)
    async with customer_api(api, mine["id"]) as own:
        problem = await own.get("/grants", contract_id=theirs.contract["id"], expect=404)
        assert problem["detail"] == f"There is no contract {theirs.contract['id']}."
    assert (await api.get("/grants", contract_id=theirs.contract["id"]))["data"] == []


async def walk_names(api: Api, path: str, *, limit: int) -> list[str]:
    walked, cursor = [], None
    while True:
        page = await api.get(path, limit=limit, **({"cursor": cursor} if cursor else {}))
        walked += [row["name"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return walked


async def test_empty_list_is_one_empty_page(api: Api) -> None:
    assert await api.get("/jobs") == {"data": [], "next_cursor": None}


async def test_row_made_while_walking_moves_no_other(api: Api) -> None:
    made = [(await make_customer(api))["id"] for _ in range(4)]
    seen: list[str] = []
    async for page in walk(api, "/customers", limit=2):
        seen += page
        await make_customer(api)
    assert seen == sorted(made, reverse=True)


async def test_pages_of_a_filter_hold_its_rows_only(api: Api) -> None:
    customer = await make_ready_customer(api)
    jobs = [(await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"] for _ in range(5)]
    for job in jobs[:2]:
        await api.post(f"/jobs/{job}/cancel")
    queued = [id_ async for page in walk(api, "/jobs", limit=2, status="queued") for id_ in page]
    assert queued == sorted(jobs[2:], reverse=True)


async def test_pages_of_a_customer_hold_its_rows_only(api: Api) -> None:
    mine, other = await make_customer(api), await make_customer(api)
    ids = []
    for _ in range(3):
        ids.append((await upload_dataset(api, mine["id"]))["id"])
        await upload_dataset(api, other["id"])
    async with customer_api(api, mine["id"]) as own:
        assert [id_ async for page in walk(own, "/datasets", limit=2) for id_ in page] == sorted(ids, reverse=True)


async def test_events_of_a_job_are_walked_once_oldest_first(api: Api) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    for action in ("pause", "resume", "pause", "cancel"):
        await api.post(f"/jobs/{job['id']}/{action}")
    kinds, after = [], "0"
    while after is not None:
        page = await api.get(f"/jobs/{job['id']}/events", limit=2, after=after)
        kinds += [row["kind"] for row in page["data"]]
        after = page["next_cursor"]
    assert kinds == ["submitted", "paused", "resumed", "paused", "cancelled"]


@contextmanager
def counted(system: System) -> Iterator[list[str]]:
    """Every statement that the application sends meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    engine = system.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


async def count_queries(api: Api, system: System) -> dict[str, int]:
    counts = {}
    for path in LISTS:
        with counted(system) as statements:
            page = (await api.call("GET", path, expect=200)).json()
        assert page["data"], f"{path}: an empty list proves nothing"
        counts[path] = len(statements)
    return counts


async def test_queries_of_a_list_do_not_grow_with_its_rows(api: Api, system: System) -> None:
    first = await make_tenant(api, system)
    async with Api.connect(api.app, first.key) as own:
        as_staff, as_customer = await count_queries(api, system), await count_queries(own, system)
    for _ in range(3):
        await make_tenant(api, system)
    assert await count_queries(api, system) == as_staff
    async with Api.connect(api.app, first.key) as own:
        for number in range(3):
            await upload_dataset(own)
            await own.post("/projects", {"name": f"another {number}"}, expect=201)
        assert await count_queries(own, system) == as_customer
    # A report of a month asks of invoices, open months, purchases, credits and what was borne, in turn.
    report = as_staff.pop("/reports/monthly-cost?month=2026-11")
    assert (max(as_staff.values()), report) <= (9, 17)
