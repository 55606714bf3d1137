"""Adapters: what training has made, with its lineage; downloaded, gone on from, compared two by two."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from broker.adapters import promoting
from broker.adapters import service as adapters
from broker.adapters.comparing import find_differences
from broker.adapters.exports import Exports, Layout, Source
from broker.adapters.lineage import Node, trace_lineage
from broker.console.customer.loss_chart import LossChart, draw_losses, draw_together
from broker.console.environments import PUSH_STATES, STAGES
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.datasets import service as datasets
from broker.environments.service import list_pushes_of
from broker.http.stored_file import send_stored
from broker.identity import service as identity
from broker.jobs.reading.loss_curve import read_loss_curve
from broker.work import Work

router = page_router("/adapters")

PAGE = 25
COMPARED = 2
CURVE_BUCKETS = 300
# What is told of an adapter's way to a stage: so many of its last promotions.
PROMOTIONS_SHOWN = 10
EDGES = {
    "trained": N_("is the base model of"),
    "learnt_from": N_("is the data of"),
    "continued": N_("is continued by"),
    "ran": N_("ran as"),
    "made": N_("made"),
}
EDGE_COLUMNS = (Column(N_("From")), Column(""), Column(N_("To")))
PROMOTION_COLUMNS = (
    Column(N_("When")),
    Column(N_("Stage")),
    Column(N_("Version")),
    Column(N_("Reason")),
    Column(N_("Servers")),
    Column(""),
)
COLUMNS = (
    Column(""),
    Column(N_("Adapter")),
    Column(N_("Stage")),
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
    stages: Collection[str] = ()

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
    return page.show("customer/adapters.html", box=panel, listing=listing, columns=COLUMNS, stages=STAGES)


async def _with_jobs(work: Work, rows: Sequence[Any]) -> list[AdapterShown]:
    known = await adapters.learn_of(work, rows)
    return [AdapterShown(row, known.jobs.get(row.job_id), known.stages.get(row.id, ())) for row in rows]


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
    promotions = await _read_promotions(work, row)
    return page.show(
        "customer/adapter.html",
        status=status,
        box=Panel.ready(lineage, page.now),
        form=form,
        promotions=Panel.of(promotions, page.now, shown=len(promotions), is_filtered=False),
        promotion_columns=PROMOTION_COLUMNS,
        stages=STAGES,
        push_states=PUSH_STATES,
    )


@dataclass(frozen=True)
class PromotionShown:
    """A promotion, the version that it made current (None: nothing), and where that is live while it is current."""

    row: Any
    version: Any | None
    is_current: bool
    pushes: Sequence[Any]


async def _read_promotions(work: Work, adapter: Any) -> list[PromotionShown]:
    """Read the last promotions of an adapter's name."""
    query = promoting.select_promotions(customer_id=adapter.customer_id, name=adapter.name)
    rows, _after = await fetch_newest(work, query, limit=PROMOTIONS_SHOWN)
    current = await promoting.list_current(work, [row.id for row in rows])
    pushes = await list_pushes_of(work, [row for row in rows if row.id in current])
    versions = await adapters.load_kept(work, {row.adapter_id for row in rows if row.adapter_id is not None})
    return [
        PromotionShown(
            row,
            versions.get(row.adapter_id or ""),
            row.id in current,
            pushes.get((row.customer_id, row.name, row.stage), []) if row.id in current else [],
        )
        for row in rows
    ]


@router.get("/{adapter_id}/lineage")
async def show_lineage(page: CustomerPage, adapter_id: str) -> HTMLResponse:
    """Show what went into what, from data to everything that was made of an adapter."""
    work = await page.begin()
    adapter = await adapters.get_adapter(work, adapter_id)
    lineage = await trace_lineage(work, adapter)
    rows = [(lineage.nodes[each.source], each.kind, lineage.nodes[each.target]) for each in lineage.edges.values()]
    return page.show(
        "customer/adapter_lineage.html",
        adapter=adapter,
        box=Panel.of(rows, page.now, shown=len(rows), is_filtered=False),
        columns=EDGE_COLUMNS,
        edges=EDGES,
        find_place=find_place,
        is_cut=lineage.is_cut,
    )


def find_place(node: Node) -> str | None:
    """Find the page of a thing of a lineage; None where it has none. Pure."""
    places = {"adapter": "/console/adapters/", "job": "/console/jobs/", "dataset": "/console/datasets/"}
    has_page = node.kind in places and not node.facts.get("is_deleted")
    return f"{places[node.kind]}{node.id}" if has_page else None


@router.post("/{adapter_id}/promote")
async def promote_adapter(page: CustomerPage, adapter_id: str) -> Response:
    """Promote an adapter through the API."""
    form = await page.read_form()
    body = form.given("stage", "reason")
    answer = await page.ask("POST", f"/v1/adapters/{adapter_id}/promote", body, key=form.key)
    if answer.problem is not None:
        return await _show_one(page, adapter_id, form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/adapters/{adapter_id}")


@router.get("/{adapter_id}/file")
async def download_adapter(page: CustomerPage, adapter_id: str, layout: Layout = Layout.PEFT) -> Response:
    """Download the adapter's file, in the layout of another program where one is named; a header has its hash."""
    work = await page.begin()
    row = await adapters.get_adapter(work, adapter_id)
    exports: Exports = page.request.app.state.exports
    made = await exports.get(work.services, Source.of(row), layout)
    ending = "" if layout is Layout.PEFT else f".{layout.value}"
    return send_stored(
        work.storage,
        made.storage_key,
        filename=f"{row.name}_v{row.version}{ending}.safetensors",
        headers={"X-Content-SHA256": made.sha256},
    )


@router.post("/{adapter_id}/delete")
async def delete_adapter(page: CustomerPage, adapter_id: str) -> Response:
    """Delete an adapter through the API."""
    form = await page.read_form()
    answer = await page.ask("DELETE", f"/v1/adapters/{adapter_id}")
    if answer.problem is not None:
        return await _show_one(page, adapter_id, form.refused(answer.problem), status=answer.status)
    return page.go_to("/console/adapters")
