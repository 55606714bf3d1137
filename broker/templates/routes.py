"""Templates of projects: make them, add versions, look at them, take them out of use."""

from typing import Annotated

from fastapi import Path, Query

from broker.http.edge import AnyKey, CustomerWork, feature_router
from broker.http.paging import cut_page, fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, NameCursor, OfCustomer, OfProject, Order, Page
from broker.templates import service
from broker.templates.schemas import TemplateIn, TemplateOut, TemplatePatch, TemplateVersionOut, VersionIn
from broker.templates.tables import Template
from broker.work import Work

router = feature_router("/templates", "templates")


@router.post("", status_code=201)
async def create_template(work: CustomerWork, body: TemplateIn) -> TemplateOut:
    """Make a template of a project: a configuration with a name, and what of it a job may change."""
    return await _describe(work, await service.create_template(work, body.project_id, body.name, body.read_content()))


@router.get("")
async def list_templates(
    work: AnyKey,
    customer_id: OfCustomer = None,
    project_id: OfProject = None,
    name: Annotated[str | None, Query(description="Those of this name.", examples=["template_sd_v15"])] = None,
    archived: Annotated[bool, Query(description="Those out of use in place of the others.", examples=[False])] = False,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[TemplateOut]:
    query = service.select_templates(archived=archived, customer_id=customer_id, project_id=project_id, name=name)
    rows, after = await fetch_page(work.session, query, Template, limit=limit, cursor=cursor, order=order)
    newest = await service.list_newest(work, rows)
    return Page(data=[TemplateOut.of(row, newest[row.id]) for row in rows], next_cursor=after)


@router.get("/{template_id}")
async def get_template(work: AnyKey, template_id: str) -> TemplateOut:
    return await _describe(work, await service.get_template(work, template_id))


@router.patch("/{template_id}")
async def change_template(work: CustomerWork, template_id: str, body: TemplatePatch) -> TemplateOut:
    """Take a template out of use, or back into it. Its versions, and the jobs that were made from it, stay."""
    return await _describe(work, await service.archive_template(work, template_id, archived=body.archived))


@router.post("/{template_id}/versions", status_code=201)
async def add_template_version(work: CustomerWork, template_id: str, body: VersionIn) -> TemplateOut:
    """Add a version, which jobs that name none are made from; the earlier ones can be named for ever."""
    return await _describe(work, await service.add_version(work, template_id, body.read_content()))


@router.get("/{template_id}/versions")
async def list_template_versions(
    work: AnyKey, template_id: str, limit: Limit = 20, cursor: NameCursor = None
) -> Page[TemplateVersionOut]:
    """List the versions of a template, the newest first."""
    rows = await service.list_versions(work, await service.get_template(work, template_id))
    page, after = cut_page(rows, lambda row: str(row.version), limit=limit, cursor=cursor)
    return Page(data=[TemplateVersionOut.of(row) for row in page], next_cursor=after)


@router.get("/{template_id}/versions/{number}")
async def get_template_version(
    work: AnyKey,
    template_id: str,
    number: Annotated[int, Path(ge=1, le=10**9, description="Its number.", examples=[3])],
) -> TemplateVersionOut:
    template = await service.get_template(work, template_id)
    return TemplateVersionOut.of(await service.get_version(work, template, number))


async def _describe(work: Work, template: Template) -> TemplateOut:
    return TemplateOut.of(template, await service.get_version(work, template))
