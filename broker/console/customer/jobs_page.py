"""The list of a customer's jobs: filters, order and page stand in the URL; several are compared, or stopped at once."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.adapters.comparing import find_differences
from broker.console.customer.job_view import pair_samples
from broker.console.customer.job_words import STATUS_NAMES, describe_status
from broker.console.customer.loss_chart import draw_together
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.frame.problem import Problem
from broker.identity import service as identity
from broker.jobs.reading.course import list_samples
from broker.jobs.reading.job_list import JobList, JobOrder, JobSearch, list_chosen, list_jobs
from broker.jobs.reading.loss_curve import read_loss_curve
from broker.jobs.rules.model import TERMINAL, JobStatus
from broker.jobs.service import load_jobs
from broker.work import Work

router = page_router("/jobs")

MOST_COMPARED, MOST_STOPPED = 4, 50
MOST_PROJECTS = 200
COMPARED_BUCKETS = 300
COLUMNS = (
    Column(""),
    Column(N_("Job")),
    Column(N_("Status")),
    Column(N_("Base model")),
    Column(N_("Step"), is_number=True),
    Column(N_("Loss"), is_number=True),
    Column(N_("Cost"), is_number=True),
    Column(N_("Submitted")),
)
ORDERS = (
    (JobOrder.NEWEST, N_("newest first")),
    (JobOrder.PINNED, N_("pinned first")),
    (JobOrder.OLDEST, N_("oldest first")),
    (JobOrder.COST, N_("dearest first")),
)


@dataclass(frozen=True)
class JobsView:
    """The list as it is shown."""

    list: JobList
    projects: dict[str, str]

    @property
    def search(self) -> JobSearch:
        return self.list.search


@router.get("")
async def show_jobs(
    page: CustomerPage,
    search: Annotated[str | None, Query(max_length=200)] = None,
    status: JobStatus | None = None,
    project_id: Annotated[str | None, Query(max_length=64)] = None,
    order: JobOrder = JobOrder.NEWEST,
    cursor: Annotated[int, Query(ge=1, le=2000, description="The page.")] = 1,
) -> HTMLResponse:
    """Show one page of jobs."""
    return await _show(page, JobSearch(search, status, project_id, order, cursor))


async def _show(
    page: Page, search: JobSearch, *, problem: Problem | None = None, http_status: int = 200
) -> HTMLResponse:
    work = await page.begin()
    customer_id = work.actor.customer_id or ""
    found = await list_jobs(work, customer_id, search)
    projects = await work.session.scalars(identity.select_projects(customer_id=customer_id).limit(MOST_PROJECTS))
    view = JobsView(found, {row.id: row.name for row in projects})
    listing = Listing(
        len(found.lines),
        found.total,
        next_cursor=str(search.page + 1) if search.page < found.pages else None,
        cursor=str(search.page) if search.page > 1 else None,
    )
    panel = Panel.of(view, page.now, shown=len(found.lines), is_filtered=search.is_narrowed or search.page > 1)
    return page.show(
        "customer/jobs.html",
        status=http_status,
        box=panel,
        view=view,
        listing=listing,
        columns=COLUMNS,
        orders=ORDERS,
        status_names=STATUS_NAMES,
        describe=describe_status,
        form=Form({}, problem),
    )


@router.get("/stop")
async def ask_to_stop_jobs(page: CustomerPage, ids: Annotated[str, Query(max_length=4000)] = "") -> HTMLResponse:
    """List what would be stopped, and ask once for all of it."""
    work = await page.begin()
    lines = await _list_chosen(work, ids, MOST_STOPPED)
    live = [line for line in lines if line.status not in TERMINAL]
    return page.show(
        "customer/jobs_stop.html", lines=live, over=len(lines) - len(live), describe=describe_status, form=Form()
    )


@router.post("/stop")
async def stop_jobs(page: CustomerPage) -> Response:
    """Stop the chosen jobs, each through the API; those that could not be are told."""
    form = await page.read_form()
    chosen = form.lists.get("id", [])[:MOST_STOPPED]
    refused: Problem | None = None
    for job_id in chosen:
        answer = await page.ask("POST", f"/v1/jobs/{job_id}/cancel", key=f"{form.key}-{job_id}")
        refused = answer.problem or refused
    if refused is not None:
        return await _show(page, JobSearch(), problem=refused, http_status=refused.status)
    return page.go_to("/console/jobs")


@router.get("/chosen")
async def go_with_chosen(page: CustomerPage, act: str = "compare", id: Annotated[list[str], Query()] = []) -> Response:  # noqa: A002, B006 (FastAPI copies it)
    """Go on with the jobs that are chosen in the list: to their comparison, or to their end."""
    ids = ",".join(id)
    return page.go_to(f"/console/jobs/{'stop' if act == 'stop' else 'compare'}?ids={ids}")


@router.get("/compare")
async def compare_jobs(page: CustomerPage, ids: Annotated[str, Query(max_length=4000)] = "") -> HTMLResponse:
    """Show the curves of several jobs on the same axes, their last samples, and where their parameters differ."""
    work = await page.begin()
    lines = await _list_chosen(work, ids, MOST_COMPARED)
    curves = draw_together([await read_loss_curve(work, line.id, buckets=COMPARED_BUCKETS) for line in lines])
    configs = await _read_configs(work, [line.id for line in lines])
    return page.show(
        "customer/jobs_compare.html",
        jobs=list(zip(lines, curves, strict=True)),
        samples=pair_samples([await list_samples(work, line.id) for line in lines]),
        differences=find_differences([configs.get(line.id, {}) for line in lines]),
        describe=describe_status,
        most=MOST_COMPARED,
    )


async def _list_chosen(work: Work, ids: str, most: int) -> Any:
    chosen = [each for each in ids.split(",") if each][:most]
    return await list_chosen(work, work.actor.customer_id or "", chosen)


async def _read_configs(work: Work, job_ids: list[str]) -> dict[str, dict[str, Any]]:
    return {job.id: job.config for job in await load_jobs(work, job_ids)}
