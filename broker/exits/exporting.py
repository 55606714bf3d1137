"""What goes into the archive of a customer: its data sets and adapters as files, all else as documents."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Select

from broker.adapters import service as adapters
from broker.adapters.schemas import AdapterOut
from broker.billing import credit_notes
from broker.billing import service as billing
from broker.billing.credit_note_schemas import CreditNoteOut
from broker.billing.schemas import InvoiceOut
from broker.contracts import service as contracts
from broker.contracts.schemas import ContractOut
from broker.customer_secrets.schemas import SecretOut
from broker.customer_secrets.service import select_secrets
from broker.datasets import service as datasets
from broker.environments import service as environments
from broker.environments.schemas import EnvironmentOut
from broker.exits.archive import Member
from broker.http.caller import Caller
from broker.http.paging import fetch_page
from broker.identity import service as identity
from broker.identity.schemas import ProjectOut
from broker.jobs import service as jobs
from broker.jobs.schemas import JobOut
from broker.notices.contacts import select_contacts
from broker.notices.schemas import ContactOut
from broker.quotes import service as quotes
from broker.quotes.shapes.schemas import QuoteOut
from broker.templates import service as templates
from broker.templates.schemas import TemplateOut, TemplateVersionOut
from broker.webhooks import endpoints
from broker.webhooks.schemas import EndpointOut
from broker.work import Work

PAGE_ROWS = 100


async def list_members(caller: Caller, customer_id: str) -> AsyncIterator[Member]:
    """List what a customer has, page by page: no transaction is open while a file is sent."""
    async for row in _walk(caller, lambda: datasets.select_datasets(customer_id=customer_id)):
        tar = row.tar.bind(caller.services.storage)
        yield Member(f"datasets/{row.id}.tar", "dataset", partial(tar.stream, 0, row.size_bytes), row.id, row.sha256)
    async for row in _walk(caller, lambda: adapters.select_finished(customer_id=customer_id)):
        yield _file(caller, f"adapters/{row.id}.safetensors", "adapter", row)
    for name, document in _list_documents(customer_id).items():
        yield Member(f"{name}.jsonl", "documents", partial(_write_lines, caller, document))


@dataclass(frozen=True)
class _Document:
    """A file of JSON lines: whose rows it has, and how a page of them is described, as the API answers them."""

    select_rows: Callable[[], Select[Any]]
    describe: Callable[[Work, list[Any]], Awaitable[list[BaseModel]]]


def _list_documents(customer_id: str) -> dict[str, _Document]:
    return {
        "projects": _Document(
            lambda: identity.select_projects(customer_id=customer_id), _each(ProjectOut.model_validate)
        ),
        "jobs": _Document(lambda: jobs.select_jobs(customer_id=customer_id), _describe_jobs),
        "quotes": _Document(lambda: quotes.select_quotes(customer_id), _each(QuoteOut.of)),
        "templates": _Document(lambda: templates.select_all_templates(customer_id), _describe_templates),
        "template_versions": _Document(lambda: templates.select_all_templates(customer_id), _describe_versions),
        "adapters": _Document(
            lambda: adapters.select_finished(customer_id=customer_id),
            _each(lambda row: AdapterOut.of(row, adapters.Known())),
        ),
        "contracts": _Document(lambda: contracts.select_contracts(customer_id=customer_id), _describe_contracts),
        "invoices": _Document(lambda: billing.select_invoices(customer_id=customer_id), _each(InvoiceOut.of)),
        "credit_notes": _Document(
            lambda: credit_notes.select_credit_notes(customer_id=customer_id), _each(CreditNoteOut.of)
        ),
        "contacts": _Document(lambda: select_contacts(customer_id), _each(ContactOut.of)),
        "secrets": _Document(lambda: select_secrets(customer_id=customer_id), _each(SecretOut.of)),
        "environments": _Document(
            lambda: environments.select_environments(customer_id=customer_id), _describe_environments
        ),
        "webhook_endpoints": _Document(
            lambda: endpoints.select_endpoints(customer_id=customer_id), _each(EndpointOut.of)
        ),
    }


def _each(of: Callable[[Any], BaseModel]) -> Callable[[Work, list[Any]], Awaitable[list[BaseModel]]]:
    async def describe(_work: Work, rows: list[Any]) -> list[BaseModel]:
        return [of(row) for row in rows]

    return describe


async def _describe_jobs(work: Work, rows: list[Any]) -> list[BaseModel]:
    return [JobOut.of(row, work.now) for row in rows]


async def _describe_contracts(work: Work, rows: list[Any]) -> list[BaseModel]:
    terms = await contracts.load_terms(work, {row.id for row in rows})
    return [ContractOut.of(terms[row.id], work.now) for row in rows]


async def _describe_environments(work: Work, rows: list[Any]) -> list[BaseModel]:
    return [EnvironmentOut.of(row, work.actor) for row in rows]


async def _describe_templates(work: Work, rows: list[Any]) -> list[BaseModel]:
    newest = await templates.list_newest(work, rows)
    return [TemplateOut.of(row, newest[row.id]) for row in rows]


async def _describe_versions(work: Work, rows: list[Any]) -> list[BaseModel]:
    return [TemplateVersionOut.of(each) for row in rows for each in await templates.list_versions(work, row)]


def _file(caller: Caller, path: str, kind: str, row: Any) -> Member:
    return Member(path, kind, lambda: caller.services.storage.stream(row.storage_key), row.id, row.sha256)


async def _write_lines(caller: Caller, document: _Document) -> AsyncIterator[bytes]:
    async for told in _walk(caller, document.select_rows, document.describe):
        yield told.model_dump_json().encode() + b"\n"


async def _as_they_are(_work: Work, rows: list[Any]) -> list[Any]:
    return rows


async def _walk(
    caller: Caller,
    select_rows: Callable[[], Select[Any]],
    describe: Callable[[Work, list[Any]], Awaitable[list[Any]]] = _as_they_are,
) -> AsyncIterator[Any]:
    cursor: str | None = None
    while True:
        async with caller.look() as work:
            query = select_rows()
            table = query.column_descriptions[0]["entity"]
            rows, cursor = await fetch_page(work.session, query, table, limit=PAGE_ROWS, cursor=cursor)
            told = await describe(work, rows)
        for each in told:
            yield each
        if cursor is None:
            return
