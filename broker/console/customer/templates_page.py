"""Templates of the customer's projects: which there are, what each says, its versions, and the way to a job of one."""

from typing import Any

from fastapi.responses import HTMLResponse, Response

from broker.console.customer.template_form import FieldUnreadable, read_content, write_content
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.templates import service as templates
from broker.work import Work

router = page_router("/templates")

MOST = 200
COLUMNS = (
    Column(N_("Name")),
    Column(N_("Version"), is_number=True),
    Column(N_("Project")),
    Column(N_("A job may change")),
    Column(N_("What is new")),
    Column(N_("Made")),
    Column(""),
)
VERSIONS = (
    Column(N_("Version"), is_number=True),
    Column(N_("A job may change")),
    Column(N_("What is new")),
    Column(N_("Made")),
)


@router.get("")
async def show_templates(page: CustomerPage, archived: bool = False, like: str | None = None) -> HTMLResponse:
    """Show the templates, and the form for another: empty, or with what a job trained (`like`)."""
    work = await page.begin()
    values: dict[str, str] = {}
    if like is not None:
        job = await jobs.get_job(work, like)
        values = {**write_content(job.config, {}), "project_id": job.project_id or ""}
    return await _show(page, work, Form(values), archived=archived)


async def _show(page: Page, work: Work, form: Form, *, archived: bool = False, status: int = 200) -> HTMLResponse:
    customer_id = work.actor.customer_id
    query = templates.select_templates(archived=archived, customer_id=customer_id)
    rows, _after = await fetch_newest(work, query, limit=MOST)
    projects, _after = await fetch_newest(work, identity.select_projects(customer_id=customer_id), limit=MOST)
    return page.show(
        "customer/templates.html",
        status=status,
        box=Panel.of(rows, page.now, shown=len(rows), is_filtered=archived),
        columns=COLUMNS,
        form=form,
        archived=archived,
        newest=await templates.list_newest(work, rows),
        projects={row.id: row.name for row in projects},
    )


@router.post("")
async def make_template(page: CustomerPage) -> Response:
    """Make a template through the API."""
    form = await page.read_form()
    try:
        body = {**form.given("name", "project_id"), **read_content(form.values)}
    except FieldUnreadable as error:
        return await _show(page, await page.begin(), form.refused(error.problem), status=error.problem.status)
    answer = await page.ask("POST", "/v1/templates", body, key=form.key)
    if answer.problem is not None:
        return await _show(page, await page.begin(), form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/templates/{answer.body['id']}")


@router.get("/{template_id}")
async def show_template(page: CustomerPage, template_id: str) -> HTMLResponse:
    """Show a template: what it says now, its versions, and the form for the next."""
    return await _show_one(page, template_id, None)


async def _show_one(page: Page, template_id: str, form: Form | None, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    template = await templates.get_template(work, template_id)
    versions = await templates.list_versions(work, template)
    bounds = {key: told.to_json() for key, told in versions[0].may_change.items()}
    said = write_content(versions[0].config, bounds)
    project = await identity.get_project(work, template.project_id)
    return page.show(
        "customer/template.html",
        status=status,
        row=template,
        project=project.name,
        said=said,
        versions=Panel.of(versions, page.now, shown=len(versions), is_filtered=False),
        columns=VERSIONS,
        form=form or Form(said),
    )


@router.post("/{template_id}/versions")
async def add_version(page: CustomerPage, template_id: str) -> Response:
    """Add a version through the API."""
    form = await page.read_form()
    try:
        body = read_content(form.values)
    except FieldUnreadable as error:
        return await _show_one(page, template_id, form.refused(error.problem), status=error.problem.status)
    return await _send(page, template_id, "POST", f"/v1/templates/{template_id}/versions", body, form)


@router.post("/{template_id}/archive")
async def archive_template(page: CustomerPage, template_id: str) -> Response:
    """Take a template out of use through the API."""
    return await _set_archived(page, template_id, archived=True)


@router.post("/{template_id}/take-back")
async def take_back_template(page: CustomerPage, template_id: str) -> Response:
    """Take a template back into use through the API."""
    return await _set_archived(page, template_id, archived=False)


async def _set_archived(page: Page, template_id: str, *, archived: bool) -> Response:
    form = await page.read_form()
    return await _send(page, template_id, "PATCH", f"/v1/templates/{template_id}", {"archived": archived}, form)


async def _send(
    page: Page, template_id: str, method: str, path: str, body: dict[str, Any], form: Submitted
) -> Response:
    answer = await page.ask(method, path, body, key=form.key if method == "POST" else None)
    if answer.problem is not None:
        return await _show_one(page, template_id, form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/templates/{template_id}")
