"""What goes into the archive of a customer: its data sets and adapters as files, all else as documents."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Select

from broker.adapters import service as adapters
from broker.adapters.schemas import AdapterOut
from broker.billing import service as billing
from broker.billing.schemas import InvoiceOut
from broker.datasets import service as datasets
from broker.exits.archive import Member
from broker.http.caller import Caller
from broker.http.paging import fetch_page
from broker.identity import service as identity
from broker.identity.schemas import ProjectOut
from broker.jobs import service as jobs
from broker.jobs.schemas import JobOut

PAGE_ROWS = 100


async def list_members(caller: Caller, customer_id: str) -> AsyncIterator[Member]:
    """List what a customer has, page by page: no transaction is open while a file is sent."""
    async for row in _walk(caller, lambda: datasets.select_datasets(customer_id=customer_id)):
        yield _file(caller, f"datasets/{row.id}.tar", "dataset", row)
    async for row in _walk(caller, lambda: adapters.select_finished(customer_id=customer_id)):
        yield _file(caller, f"adapters/{row.id}.safetensors", "adapter", row)
    now = caller.services.now
    documents: dict[str, tuple[Callable[[], Select[Any]], Callable[[Any], BaseModel]]] = {
        "projects": (lambda: identity.select_projects(customer_id=customer_id), ProjectOut.model_validate),
        "jobs": (lambda: jobs.select_jobs(customer_id=customer_id), lambda row: JobOut.of(row, now)),
        "adapters": (
            lambda: adapters.select_finished(customer_id=customer_id),
            lambda row: AdapterOut.of(row, adapters.Known()),
        ),
        "invoices": (lambda: billing.select_invoices(customer_id=customer_id), InvoiceOut.of),
    }
    for name, (select_rows, describe) in documents.items():
        yield Member(f"{name}.jsonl", "documents", partial(_write_lines, caller, select_rows, describe))


def _file(caller: Caller, path: str, kind: str, row: Any) -> Member:
    return Member(path, kind, lambda: caller.services.storage.stream(row.storage_key), row.id, row.sha256)


async def _write_lines(
    caller: Caller, select_rows: Callable[[], Select[Any]], describe: Callable[[Any], BaseModel]
) -> AsyncIterator[bytes]:
    async for row in _walk(caller, select_rows):
        yield describe(row).model_dump_json().encode() + b"\n"


async def _walk(caller: Caller, select_rows: Callable[[], Select[Any]]) -> AsyncIterator[Any]:
    cursor: str | None = None
    while True:
        async with caller.look() as work:
            query = select_rows()
            table = query.column_descriptions[0]["entity"]
            rows, cursor = await fetch_page(work.session, query, table, limit=PAGE_ROWS, cursor=cursor)
        for row in rows:
            yield row
        if cursor is None:
            return
