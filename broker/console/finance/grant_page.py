"""A grant as finance sees it: what is left of it, what it paid for, and how it is taken back; and how one is given."""

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker import errors
from broker.console.finance.acts import Act, carry_out, needs_second_person
from broker.console.finance.commitments_view import GRANT_KINDS
from broker.console.finance.customer_view import GRANT_STATES
from broker.console.finance.grant_view import DRAW_COLUMNS, DrawsView, read_gift
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.contracts import service as contracts
from broker.contracts.terms.model import GrantTerms
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.ledger import service as ledger
from broker.ledger.service import list_draws
from broker.work import Work

SHOWN, PROJECTS_SHOWN = 50, 200

router = page_router("/finance")
Before = Annotated[int | None, Query(ge=1, le=10**18)]


@router.get("/grants/{grant_id}")
async def show_grant(page: FinancePage, grant_id: str, before: Before = None, done: str | None = None) -> HTMLResponse:
    """Show a grant with what it paid for, newest first."""
    return await _show(page, await page.begin(), grant_id, before=before, done=done)


async def _show(
    page: Page,
    work: Work,
    grant_id: str,
    *,
    before: int | None = None,
    refused: dict[str, Form] | None = None,
    proposes: str | None = None,
    done: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    grant = await contracts.get_grant(work, grant_id)
    (balance,) = await ledger.read_grant_balances(work, [grant])
    terms = await contracts.get_contract(work, grant.contract_id)
    names = await identity.list_names(work, [grant.customer_id])
    projects = await identity.list_project_names(work, [grant.scope.project_id] if grant.scope.project_id else [])
    return page.show(
        "finance/grant.html",
        status=status,
        grant=grant,
        balance=balance,
        customer=names[grant.customer_id],
        contract_number=terms.contract_number,
        project=projects.get(grant.scope.project_id or ""),
        draws=await read_panel(page.request, work, partial(_read_draws, grant=grant, before=before)),
        draw_columns=DRAW_COLUMNS,
        kinds=GRANT_KINDS,
        states=GRANT_STATES,
        forms={"void": Form(), "refund": Form()} | (refused or {}),
        proposes=proposes,
        done=done,
    )


async def _read_draws(work: Work, *, grant: GrantTerms, before: int | None) -> Panel[DrawsView]:
    rows, after = await list_draws(work, grant.id, limit=SHOWN, before=before)
    names = {job.id: job.name for job in await jobs.load_jobs(work, list({row.job_id for row in rows})) if job.name}
    return Panel.of(DrawsView(rows, names, after), work.now, shown=len(rows), is_filtered=before is not None)


@router.post("/grants/{grant_id}/{name}")
async def act_on_grant(page: FinancePage, grant_id: str, name: str) -> Response:
    """Take back what is unused of a grant, or pay it back, through the API."""
    form = await page.read_form()
    answer = await carry_out(page, plan_act(grant_id, name, form), form)
    if answer.problem is None:
        told = "proposed" if form.get("propose") else name
        return page.go_to(f"/console/finance/grants/{quote(grant_id, safe='')}?done={told}")
    return await _show(
        page,
        await page.begin(),
        grant_id,
        refused={name: form.refused(answer.problem)},
        proposes=name if needs_second_person(answer) else None,
        status=answer.status,
    )


def plan_act(grant_id: str, name: str, form: Submitted) -> Act:
    """Plan what a form asks for. Pure. Raises: NotFound, for an act that there is not."""
    told: dict[str, Any] = {"grant_id": grant_id, "reason": form.get("reason")}
    path = f"/grants/{quote(grant_id, safe='')}/{name}"
    if name == "void":
        return Act(path, {"reason": form.get("reason")}, ("grant_void", told))
    if name == "refund":
        return Act(path, None, ("grant_refund", told))
    raise errors.NotFound("page", name)


@router.get("/contracts/{contract_id}/grant")
async def show_gift(page: FinancePage, contract_id: str) -> HTMLResponse:
    """Show the form by which a contract is given hours or tokens."""
    return await _show_gift(page, contract_id, Form())


async def _show_gift(
    page: Page, contract_id: str, form: Form, *, proposes: bool = False, status: int = 200
) -> HTMLResponse:
    work = await page.begin()
    terms = await contracts.get_contract(work, contract_id)
    names = await identity.list_names(work, [terms.customer_id])
    projects = await work.session.scalars(identity.select_projects(customer_id=terms.customer_id).limit(PROJECTS_SHOWN))
    return page.show(
        "finance/grant_new.html",
        status=status,
        terms=terms,
        customer=names[terms.customer_id],
        form=form,
        proposes=proposes,
        projects={each.id: each.name for each in projects},
    )


@router.post("/contracts/{contract_id}/grant")
async def give_grant(page: FinancePage, contract_id: str) -> Response:
    """Give a contract hours or tokens through the API, or propose to."""
    form = await page.read_form()
    body = read_gift(contract_id, form, page.caller.services.settings.time_zone)
    answer = await carry_out(page, Act("/grants", body, ("grant", body)), form)
    if answer.problem is not None:
        proposes = needs_second_person(answer)
        return await _show_gift(
            page, contract_id, form.refused(answer.problem), proposes=proposes, status=answer.status
        )
    if form.get("propose"):
        return page.go_to("/console/finance/today#approvals")
    return page.go_to(f"/console/finance/grants/{answer.body['id']}?done=given")
