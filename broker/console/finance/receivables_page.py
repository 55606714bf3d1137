"""Receivables: what is owed by age, and which contracts are behind with paying, with time that finance gives."""

from functools import partial

from fastapi import Response
from fastapi.responses import HTMLResponse

from broker.arrears import service as arrears
from broker.arrears.views import ArrearsRecord, view_contract
from broker.console.finance.receivables_view import (
    AGES,
    ARREARS_COLUMNS,
    RECEIVABLE_COLUMNS,
    STATES,
    ArrearsView,
    ReceivablesView,
    count_disputed,
    show_receivables,
)
from broker.console.frame.forms import Form
from broker.console.frame.listing import Listing
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.contracts import service as contracts
from broker.contracts.terms.arrears import ArrearsState
from broker.http.paging import fetch_page
from broker.identity import service as identity
from broker.reports.receivables import report_receivables
from broker.work import Work

SHOWN = 50

router = page_router("/finance")


@router.get("/receivables")
async def show(page: FinancePage, state: ArrearsState | None = None, cursor: str | None = None) -> HTMLResponse:
    """Show what is owed by age, and how contracts stand that are behind."""
    work = await page.begin()
    return page.show(
        "finance/receivables.html",
        owed=await read_panel(page.request, work, _read_owed),
        arrears=await read_panel(page.request, work, partial(_read_arrears, state=state, cursor=cursor)),
        ages=AGES,
        states=STATES,
        state=state,
        disputed_of=count_disputed,
        owed_columns=RECEIVABLE_COLUMNS,
        arrears_columns=ARREARS_COLUMNS,
    )


async def _read_owed(work: Work) -> Panel[ReceivablesView]:
    view = show_receivables(await report_receivables(work))
    return Panel.of(view, work.now, shown=view.count, is_filtered=False)


async def _read_arrears(work: Work, *, state: ArrearsState | None, cursor: str | None) -> Panel[ArrearsView]:
    query = arrears.select_records(state=state)
    rows, after = await fetch_page(work.session, query, ArrearsRecord, limit=SHOWN, cursor=cursor)
    names = await identity.list_names(work, {row.customer_id for row in rows})
    numbers = await contracts.list_contract_numbers(work, {row.contract_id for row in rows})
    counts = await arrears.count_states(work)
    total = sum(counts.values()) if state is None else counts.get(state.value, 0)
    view = ArrearsView(rows, names, numbers, Listing(len(rows), total, after, cursor))
    return Panel.of(view, work.now, shown=len(rows), is_filtered=state is not None)


@router.get("/receivables/{contract_id}")
async def show_contract(page: FinancePage, contract_id: str, done: str | None = None) -> HTMLResponse:
    """Show how a contract came to be behind, and what time it was given."""
    return await _show_contract(page, await page.begin(), contract_id, Form(), done=done)


async def _show_contract(
    page: Page, work: Work, contract_id: str, form: Form, *, status: int = 200, done: str | None = None
) -> HTMLResponse:
    view = await view_contract(work, contract_id)
    names = await identity.list_names(work, [view.terms.customer_id])
    return page.show(
        "finance/arrears.html",
        status=status,
        view=view,
        customer=names[view.terms.customer_id],
        states=STATES,
        form=form,
        done=done,
    )


@router.post("/receivables/{contract_id}/extend")
async def extend(page: FinancePage, contract_id: str) -> Response:
    """Give a contract in arrears time, through the API."""
    form = await page.read_form()
    body = form.given("until", "kind", "reason")
    answer = await page.ask("POST", f"/v1/contracts/{contract_id}/arrears/extensions", body, key=form.key)
    if answer.problem is None:
        return page.go_to(f"/console/finance/receivables/{contract_id}?done=yes")
    work = await page.begin()
    return await _show_contract(page, work, contract_id, form.refused(answer.problem), status=answer.status)
