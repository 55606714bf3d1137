"""The month of finance: what it comes to, why it changed, and down from customers to projects, jobs and intervals."""

from asyncio import to_thread
from datetime import timedelta
from functools import partial
from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.console.finance.month_document import MonthTold, describe_month, write_month_pdf
from broker.console.finance.month_view import (
    INTERVAL_COLUMNS,
    JOB_COLUMNS,
    STEPS,
    ChangeView,
    CostTable,
    JobsView,
    list_toggles,
    make_change,
    make_figures,
    make_table,
    read_groups,
    share_pools,
    share_projects,
)
from broker.console.finance.months import MonthAsked, choose_month
from broker.console.frame.catalogue import load_translations
from broker.console.frame.listing import Listing
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.http.shapes import Whole
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.metering.reading.listing import UsagePage, list_usage
from broker.reports.commitments.report import report_commitments
from broker.reports.costs.grouping import CostRow, Dimension
from broker.reports.costs.job_costs import JobsAsked, list_job_costs
from broker.reports.costs.month import MonthReading, is_long, read_month
from broker.reports.costs.report import read_names
from broker.reports.pool_margin import report_pool_margin
from broker.reports.reconciliation import find_last_reconciled
from broker.reports.routes import GROUPS_PATTERN
from broker.work import Work

JOBS_SHOWN, INTERVALS_SHOWN = 50, 100
# A month of more lines than this is read once its page is there.
LONG = 4000
NO_PROJECT = "none"

router = page_router("/finance")
By = Annotated[str | None, Query(pattern=GROUPS_PATTERN, description="What rows are told apart by.")]


@router.get("/month")
async def show_month(
    page: FinancePage,
    month: MonthAsked = None,
    by: By = None,
    customer_id: str | None = None,
    project_id: str | None = None,
    offset: Whole = 0,
    show: str | None = None,
) -> HTMLResponse:
    """Show a month: of all, of a customer by project, or the jobs of a project."""
    work = await page.begin()
    choice = choose_month(month, page.now, work.settings.time_zone)
    customer = None if customer_id is None else await identity.get_customer(work, customer_id)
    if customer is not None and project_id is not None:
        told = JobsAsked(choice.month, customer.id, True, _read_project(project_id), JOBS_SHOWN, offset)
        listed = await _read_jobs(page, work, told)
        return page.show("finance/month_jobs.html", choice=choice, jobs=listed, offset=offset, job_columns=JOB_COLUMNS)
    if customer is None and page.part != "month" and show != "month" and await is_long(work, choice.month, LONG):
        return page.show("finance/month_later.html", choice=choice)
    groups = read_groups(by, Dimension.CUSTOMER if customer is None else Dimension.PROJECT)
    if page.part == "pools" or show == "pools":
        pools = await read_panel(page.request, work, partial(_read_pools, month=choice.month))
        return page.show("finance/month_pools.html", choice=choice, pools=pools)
    reading = await read_month(work, choice.month, customer_id=customer_id)
    rows, projects = reading.group(groups), reading.group([Dimension.PROJECT])
    names = await read_names(work, [*rows, *projects])
    commitments = await report_commitments(work, timedelta(days=90), customer_id=customer_id)
    return page.show(
        "finance/month.html",
        choice=choice,
        customer=customer,
        groups=groups,
        toggles=list_toggles(groups),
        steps=STEPS,
        figures=make_figures(reading.change, commitments.rows, is_final=reading.is_final),
        reconciled=await find_last_reconciled(work),
        change=_show_change(reading, work),
        projects=Panel.of(
            share_projects(projects, names, choice.month), work.now, shown=len(projects), is_filtered=False
        ),
        costs=_show_costs(make_table(rows, groups, names, choice.month), rows, work),
    )


@router.get("/month.pdf")
async def download_month(
    page: FinancePage, month: MonthAsked = None, by: By = None, customer_id: str | None = None
) -> Response:
    """Write what the page of a month shows as a PDF, in the page's language."""
    work = await page.begin()
    choice = choose_month(month, page.now, work.settings.time_zone)
    customer = None if customer_id is None else await identity.get_customer(work, customer_id)
    groups = read_groups(by, Dimension.CUSTOMER if customer is None else Dimension.PROJECT)
    reading = await read_month(work, choice.month, customer_id=customer_id)
    rows, projects = reading.group(groups), reading.group([Dimension.PROJECT])
    names = await read_names(work, [*rows, *projects])
    commitments = await report_commitments(work, timedelta(days=90), customer_id=customer_id)
    told = MonthTold(
        month=choice.month,
        whose="" if customer is None else customer.name,
        figures=make_figures(reading.change, commitments.rows, is_final=reading.is_final),
        change=reading.change,
        projects=share_projects(projects, names, choice.month),
        costs=make_table(rows, groups, names, choice.month),
        is_reconciled=await find_last_reconciled(work) is not None,
        at=page.now,
    )
    described = describe_month(told, load_translations(page.preferences.language, "finance").gettext, page.formats)
    content = await to_thread(write_month_pdf, described, page.now, work.settings.font_dir)
    headers = {"Content-Disposition": f'attachment; filename="month-{choice.month}.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)


def _read_project(project_id: str) -> str | None:
    return None if project_id == NO_PROJECT else project_id


def _show_change(reading: MonthReading, work: Work) -> Panel[ChangeView]:
    anything = len(reading.facts) + len(reading.facts_before)
    return Panel.of(make_change(reading.change), work.now, shown=anything, is_filtered=False)


def _show_costs(table: CostTable, rows: list[CostRow], work: Work) -> Panel[CostTable]:
    return Panel.of(table, work.now, shown=len(rows), is_filtered=False)


async def _read_pools(work: Work, *, month: str) -> Panel[object]:
    rows = await report_pool_margin(work, month)
    return Panel.of((share_pools(rows), rows), work.now, shown=len(rows), is_filtered=False)


async def _read_jobs(page: Page, work: Work, asked: JobsAsked) -> Panel[JobsView]:
    async def read(work: Work) -> Panel[JobsView]:
        found = await list_job_costs(work, asked)
        assert asked.customer_id is not None, "jobs are listed of a customer"
        names = await identity.list_names(work, [asked.customer_id])
        projects = await identity.list_project_names(work, [asked.project_id] if asked.project_id else [])
        view = JobsView(found, names[asked.customer_id], asked.customer_id, projects.get(asked.project_id or ""))
        return Panel.of(view, work.now, shown=len(found.rows), is_filtered=bool(asked.offset))

    return await read_panel(page.request, work, read)


@router.get("/month/jobs/{job_id}")
async def show_job_usage(page: FinancePage, job_id: str, cursor: str | None = None) -> HTMLResponse:
    """Show the intervals of a job, as they were metered: what every line about it rests on."""
    work = await page.begin()
    job = await jobs.get_job(work, job_id)

    async def read(work: Work) -> Panel[UsagePage]:
        found = await list_usage(work, job_id, limit=INTERVALS_SHOWN, cursor=cursor)
        return Panel.of(found, work.now, shown=len(found.intervals), is_filtered=cursor is not None)

    usage = await read_panel(page.request, work, read)
    names = await identity.list_names(work, [job.customer_id])
    listing = None if usage.view is None else Listing(len(usage.view.intervals), None, usage.view.next_cursor, cursor)
    return page.show(
        "finance/job_usage.html",
        job=job,
        customer=names[job.customer_id],
        usage=usage,
        listing=listing,
        interval_columns=INTERVAL_COLUMNS,
    )
