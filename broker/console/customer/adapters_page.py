"""Adapters: what training has made, with its lineage; downloaded, gone on from, compared two by two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from broker.adapters import service as adapters
from broker.console.customer.jobs_page import find_differences
from broker.console.customer.loss_chart import LossChart, draw_losses, draw_together
from broker.console.customer.newest import fetch_newest
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.datasets import service as datasets
from broker.http.stored_file import send_stored
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.jobs.reading.loss_curve import read_loss_curve
from broker.work import Work

router = page_router("/adapters")

PAGE = 25
COMPARED = 2
CURVE_BUCKETS = 300
COLUMNS = (
    Column(""),
    Column(N_("Adapter")),
    Column(N_("Base model")),
    Column(N_("Rank"), is_number=True),
    Column(N_("Loss"), is_number=True),
    Column(N_("Cost"), is_number=True),
    Column(N_("Size"), is_number=True),
    Column(N_("Made")),
)


@dataclass(frozen=True)
class AdapterShown:
    """An adapter with the job that made it (None: it is not to be seen any more)."""

    row: Any
    job: Any | None

    @property
    def rank(self) -> Any:
        return self.row.config.get("lora_rank", 8)

    @property
    def loss(self) -> Any:
        progress = {} if self.job is None else self.job.progress or {}
        return progress.get("validation_loss") or progress.get("loss")


@dataclass(frozen=True)
class Lineage:
    """Where an adapter comes from: its data set and its project, its earlier and later versions, its job's curve; and
    which adapter it went on from, and which went on from it.
    """

    adapter: AdapterShown
    dataset: Any | None
    project: str | None
    versions: Sequence[Any]
    chart: LossChart | None
    parent: Any | None
    offspring: Sequence[Any]


@router.get("")
async def show_adapters(page: CustomerPage, cursor: Annotated[str | None, Query(max_length=64)] = None) -> HTMLResponse:
    """Show the adapters, the newest first."""
    work = await page.begin()
    rows, after = await fetch_newest(
        work, adapters.select_finished(customer_id=work.actor.customer_id), limit=PAGE, cursor=cursor
    )
    shown = await _with_jobs(work, rows)
    panel = Panel.of(shown, page.now, shown=len(shown), is_filtered=cursor is not None)
    listing = Listing(len(shown), next_cursor=after, cursor=cursor)
    return page.show("customer/adapters.html", box=panel, listing=listing, columns=COLUMNS)


async def _with_jobs(work: Work, rows: Sequence[Any]) -> list[AdapterShown]:
    by_id = {job.id: job for job in await jobs.load_jobs(work, {row.job_id for row in rows})}
    return [AdapterShown(row, by_id.get(row.job_id)) for row in rows]


@router.get("/compare")
async def compare_adapters(
    page: CustomerPage,
    ids: Annotated[str, Query(max_length=200)] = "",
    id: Annotated[list[str], Query()] = [],  # noqa: A002, B006 (FastAPI copies it)
) -> HTMLResponse:
    """Show two adapters beside each other: what they were made of, and their curves."""
    work = await page.begin()
    chosen = [*(each for each in ids.split(",") if each), *id][:COMPARED]
    shown = await _with_jobs(work, [await adapters.get_adapter(work, each) for each in chosen])
    charts = draw_together([await read_loss_curve(work, each.row.job_id, buckets=CURVE_BUCKETS) for each in shown])
    return page.show(
        "customer/adapters_compare.html",
        shown=list(zip(shown, charts, strict=True)),
        differences=find_differences([each.row.config for each in shown]),
    )


@router.get("/{adapter_id}")
async def show_adapter(page: CustomerPage, adapter_id: str) -> HTMLResponse:
    """Show an adapter and where it comes from."""
    return await _show_one(page, adapter_id, Form())


async def _show_one(page: Page, adapter_id: str, form: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    (shown,) = await _with_jobs(work, [await adapters.get_adapter(work, adapter_id)])
    row = shown.row
    same = adapters.select_finished(customer_id=row.customer_id, name=row.name)
    versions, _after = await fetch_newest(work, same, limit=PAGE)
    names = {} if row.project_id is None else await identity.list_project_names(work, {row.project_id})
    lineage = Lineage(
        adapter=shown,
        dataset=None if shown.job is None else await datasets.find_dataset(work, shown.job.dataset_id),
        project=names.get(row.project_id or ""),
        versions=versions,
        chart=draw_losses(await read_loss_curve(work, row.job_id, buckets=CURVE_BUCKETS)),
        parent=await adapters.find_start(work, row.customer_id, row.config),
        offspring=(await fetch_newest(work, adapters.select_offspring(row.id, row.customer_id), limit=PAGE))[0],
    )
    return page.show("customer/adapter.html", status=status, box=Panel.ready(lineage, page.now), form=form)


@router.get("/{adapter_id}/file")
async def download_adapter(page: CustomerPage, adapter_id: str) -> Response:
    """Download the adapter's file; its SHA-256 is in `X-Content-SHA256`."""
    work = await page.begin()
    row = await adapters.get_adapter(work, adapter_id)
    return send_stored(
        work.storage,
        row.storage_key,
        filename=f"{row.name}_v{row.version}.safetensors",
        headers={"X-Content-SHA256": row.sha256},
    )


@router.post("/{adapter_id}/delete")
async def delete_adapter(page: CustomerPage, adapter_id: str) -> Response:
    """Delete an adapter through the API."""
    form = await page.read_form()
    answer = await page.ask("DELETE", f"/v1/adapters/{adapter_id}")
    if answer.problem is not None:
        return await _show_one(page, adapter_id, form.refused(answer.problem), status=answer.status)
    return page.go_to("/console/adapters")
