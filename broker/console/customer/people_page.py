"""People who sign in, and projects with their members: who is in, who is invited, and what each may do."""

from typing import Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse, Response

from broker.console.frame.forms import Form, Submitted
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.identity import people, service
from broker.identity.members import count_members, list_members

router = page_router("")

MOST = 200
# What a member of a project does there.
ROLES = {"viewer": N_("looks"), "member": N_("trains, too")}
PEOPLE = (Column(N_("Mail address")), Column(N_("Last signed in")), Column(N_("Invited")), Column(""))
PROJECTS = (Column(N_("Project")), Column(N_("Members"), is_number=True), Column(N_("Made")))
MEMBERS = (Column(N_("Key")), Column(N_("In this project it")), Column(N_("Since")), Column(""))


@router.get("/people")
async def show_people(page: CustomerPage) -> HTMLResponse:
    """Show the people, the projects, and the forms for more of either."""
    return await _show(page, Form(), Form())


async def _show(page: Page, inviting: Form, naming: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    customer_id = work.actor.customer_id
    invited, _after = await fetch_newest(work, people.select_people(customer_id=customer_id), limit=MOST)
    projects, _after = await fetch_newest(work, service.select_projects(customer_id=customer_id), limit=MOST)
    return page.show(
        "customer/people.html",
        status=status,
        people=Panel.of(invited, page.now, shown=len(invited), is_filtered=False),
        projects=Panel.of(projects, page.now, shown=len(projects), is_filtered=False),
        members=await count_members(work, [row.id for row in projects]),
        people_columns=PEOPLE,
        project_columns=PROJECTS,
        provider=work.settings.oidc_name if work.settings.oidc_issuer is not None else None,
        own=work.actor.id,
        inviting=inviting,
        naming=naming,
    )


@router.post("/people")
async def invite(page: CustomerPage) -> Response:
    """Invite a person through the API."""
    form = await page.read_form()
    answer = await page.ask("POST", "/v1/people", form.given("email"), key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), Form(), status=answer.status)
    return page.go_to("/console/people")


@router.post("/people/{person_id}/remove")
async def remove(page: CustomerPage, person_id: str) -> Response:
    """Remove a person through the API: its key is revoked, and its sessions end."""
    form = await page.read_form()
    answer = await page.ask("DELETE", f"/v1/people/{quote(person_id, safe='')}")
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), Form(), status=answer.status)
    return page.go_to("/console/people")


@router.post("/projects")
async def make_project(page: CustomerPage) -> Response:
    """Make a project through the API, and show it."""
    form = await page.read_form()
    answer = await page.ask("POST", "/v1/projects", form.given("name"), key=form.key)
    if answer.problem is not None:
        return await _show(page, Form(), form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/projects/{answer.body['id']}")


@router.get("/projects/{project_id}")
async def show_project(page: CustomerPage, project_id: str) -> HTMLResponse:
    """Show a project with its members."""
    return await _show_project(page, project_id, Form())


async def _show_project(page: Page, project_id: str, form: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    project = await service.get_project(work, project_id)
    members = await list_members(work, project_id)
    query = service.select_api_keys(customer_id=project.customer_id)
    keys, _after = await fetch_newest(work, query.filter_by(is_confined=True), limit=MOST)
    inside = {key.id for _member, key in members}
    return page.show(
        "customer/project.html",
        status=status,
        project=project,
        members=Panel.of(members, page.now, shown=len(members), is_filtered=False),
        columns=MEMBERS,
        roles=ROLES,
        candidates=[
            (key.id, f"{key.name} · {key.prefix}…") for key in keys if _may_join(key, page) and key.id not in inside
        ],
        form=form,
    )


def _may_join(key: Any, page: Page) -> bool:
    """Tell whether a key is still good. Pure."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > page.now)


@router.post("/projects/{project_id}/members")
async def set_member(page: CustomerPage, project_id: str) -> Response:
    """Make a key a member of a project, or another kind of member, through the API."""
    form = await page.read_form()
    return await _act(page, project_id, form, "PUT", form.given("role"))


@router.post("/projects/{project_id}/members/end")
async def end_membership(page: CustomerPage, project_id: str) -> Response:
    """End a key's membership through the API: its next request there finds nothing."""
    return await _act(page, project_id, await page.read_form(), "DELETE", None)


async def _act(page: Page, project_id: str, form: Submitted, method: str, body: object) -> Response:
    place = f"/v1/projects/{quote(project_id, safe='')}/members/{quote(form.get('key_id') or 'none', safe='')}"
    answer = await page.ask(method, place, body)
    if answer.problem is not None:
        return await _show_project(page, project_id, form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/projects/{project_id}")
