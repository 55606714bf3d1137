"""How long each page of the console takes with 100,000 jobs in one tenant, beside the limit of 0.15 s.

The tenant is that of the tests, which has one of everything; its jobs are copies of one that has run and of one that
waits, and its invoices copies of one month's, written by the database itself. A page is asked for in process, whole, by
somebody who is signed in; what it sends to the database stands beside its name.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import httpx2 as httpx
import psycopg
import pytest

from benchmarks.row import Row
from broker.all_tables import METADATA
from tests.broker.conftest import run_server
from tests.broker.messages import listing_messages
from tests.pages.house import House, open_house
from tests.pages.pages import ConsolePage, list_pages

RAN, WAITING, INVOICES = 98_000, 2_000, 48
WARM_UPS, ROUNDS = 2, 9
LIMIT_SECONDS = 0.15
NUMBERED = "generate_series(1, {count}) AS n"
OF_COPY = "lpad(n::text, 26, '0')"
SPREAD = "created_at - n * interval '80 seconds'"
AT = f"to_char({SPREAD}, 'YYYY-MM')"


def measure() -> list[Row]:
    return asyncio.run(measure_pages())


async def measure_pages() -> list[Row]:
    async with open_crowded_house() as house:
        return [row for page in list_pages() if (row := await measure_page(house, page)) is not None]


@asynccontextmanager
async def open_crowded_house() -> AsyncIterator[House]:
    """Serve a broker whose tenant has many jobs and invoices."""
    with tempfile.TemporaryDirectory(prefix="lora-broker-pages-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # noqa: ASYNC240 (before anything else runs)
        servers = run_server(Path(folder))
        server = next(servers)
        async with open_house(server, Path(folder) / "data", furnished=True) as house:
            assert house.tenant is not None
            dataset, contract = house.tenant.dataset_id, house.tenant.contract_id
            copied = await house.api.get(f"/jobs/{house.tenant.live_job_id}")
            order = {"config": copied["config"], "dataset_id": dataset, "contract_id": contract}
            waiting = await house.api.post("/jobs", {**order, "customer_id": house.tenant.customer_id}, expect=201)
            crowd(house, server.owner_url(house.database_name), waiting["id"])
            yield house
        next(servers, None)


def crowd(house: House, owner_url: str, waiting_id: str) -> None:
    """Copy jobs with their runs and captures, and invoices with their lines."""
    tenant = house.tenant
    assert tenant is not None
    ran = f"job_id = '{tenant.job_id}'"
    job_id, run_id = f"'job_' || {OF_COPY}", f"'run_' || {OF_COPY}"
    invoice_id = f"'inv_' || {OF_COPY}"
    month = "to_char(date '2026-09-01' - n * interval '1 month', 'YYYY-MM')"
    of_run = {"job_id": job_id, "run_id": run_id}
    copies = (
        ("jobs", f"id = '{tenant.job_id}'", RAN, {"id": job_id, "created_at": SPREAD}),
        ("jobs", f"id = '{waiting_id}'", WAITING, {"id": f"'job_w' || {OF_COPY}", "created_at": SPREAD}),
        ("runs", ran, RAN, {"id": run_id, "job_id": job_id, "created_at": SPREAD}),
        ("captures", ran, RAN, {**of_run, "created_at": SPREAD, "month": AT, "used_month": AT, "id": ""}),
        ("rate_lines", ran, RAN, {"job_id": job_id}),
        (
            "invoices",
            f"id = '{tenant.invoice_id}'",
            INVOICES,
            {"id": invoice_id, "number": "'2020' || n", "month": month},
        ),
        ("invoice_lines", f"invoice_id = '{tenant.invoice_id}'", INVOICES, {"invoice_id": invoice_id, "id": ""}),
    )
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SELECT set_config('broker.scope', 'all', false)")
        for table, condition, count, changed in copies:
            connection.execute(compose_copy(table, condition, count, changed).encode())
        connection.execute("VACUUM ANALYZE")


def compose_copy(table: str, condition: str, count: int, changed: dict[str, str]) -> str:
    """Compose what copies rows of a table so many times; a column that is changed to nothing has its default."""
    given = [column.name for column in METADATA.tables[table].columns if column.computed is None]
    names = [name for name in given if changed.get(name) != ""]
    values = ", ".join(changed.get(name, f"t.{name}") for name in names)
    rows = f"(SELECT * FROM {table} WHERE {condition}) AS t"
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {rows}, {NUMBERED.format(count=count)}"


async def measure_page(house: House, page: ConsolePage) -> Row | None:
    """Measure one page; None for one of what is not there, that leads elsewhere, or is a file."""
    address = page.find_address(house.tenant)
    if address is None:
        return None
    cookies = {"broker_session": await house.begin_session(page.role)}
    transport = httpx.ASGITransport(house.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", cookies=cookies) as client:
        first = await client.get(address)
        if not is_page(first):
            return None
        for _ in range(WARM_UPS):
            await client.get(address)
        with listing_messages(pytest.MonkeyPatch()) as messages:
            await client.get(address)
        seconds = median([await time_page(client, address) for _ in range(ROUNDS)])
    return Row(f"page {page.path}, {len(messages)} messages", "s", seconds, "limit", LIMIT_SECONDS, 1.0)


def is_page(answered: httpx.Response) -> bool:
    """Tell whether a page was answered. Raises: AssertionError, where it failed."""
    assert answered.status_code in {200, 303}, answered.text
    return answered.status_code == 200 and answered.headers["content-type"].startswith("text/html")


async def time_page(client: httpx.AsyncClient, address: str) -> float:
    began = time.perf_counter()
    answered = await client.get(address)
    assert answered.status_code == 200, answered.text
    return time.perf_counter() - began
