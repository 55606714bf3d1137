"""Contracts that order more by themselves: which do, what each has left, and the rule of one."""

from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import HTMLResponse

from broker import errors
from broker.console.finance.acts import Act, carry_out
from broker.console.finance.top_ups_view import COLUMNS, TopUpsView, read_rule
from broker.console.frame.forms import Form
from broker.console.frame.listing import Listing
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.contracts import service as contracts
from broker.identity import service as identity
from broker.signing.top_up_listing import fetch_top_ups, list_order_invoices
from broker.signing.top_ups import find_top_up
from broker.work import Work

SHOWN = 50

router = page_router("/finance")


@router.get("/top-ups")
async def show_top_ups(page: FinancePage, cursor: str | None = None) -> HTMLResponse:
    """Show the contracts that order more by themselves, with what each has left and its order that waits."""
    work = await page.begin()
    top_ups = await read_panel(page.request, work, partial(_read, cursor=cursor))
    return page.show("finance/top_ups.html", top_ups=top_ups, columns=COLUMNS)


async def _read(work: Work, *, cursor: str | None) -> Panel[TopUpsView]:
    found = await fetch_top_ups(work, limit=SHOWN, cursor=cursor)
    names = await identity.list_names(work, {row.customer_id for row in found.rows})
    terms = await contracts.load_terms(work, {row.top_up.contract_id for row in found.rows})
    orders = await list_order_invoices(work, [row.open_purchase_id for row in found.rows if row.open_purchase_id])
    numbers = {each.id: each.contract_number for each in terms.values()}
    listing = Listing(len(found.rows), found.count, found.next_cursor, cursor)
    view = TopUpsView(found.rows, names, numbers, orders, listing)
    return Panel.of(view, work.now, shown=len(found.rows), is_filtered=cursor is not None)


@router.get("/contracts/{contract_id}/top-up")
async def show_rule(page: FinancePage, contract_id: str, done: str | None = None) -> HTMLResponse:
    """Show the rule by which a contract orders more, or the form of a first one."""
    return await _show_rule(page, contract_id, Form(), done=done)


async def _show_rule(
    page: Page, contract_id: str, form: Form, *, done: str | None = None, status: int = 200
) -> HTMLResponse:
    work = await page.begin()
    terms = await contracts.get_contract(work, contract_id)
    names = await identity.list_names(work, [terms.customer_id])
    return page.show(
        "finance/top_up.html",
        status=status,
        terms=terms,
        customer=names[terms.customer_id],
        rule=await find_top_up(work, contract_id),
        form=form,
        done=done,
    )


@router.post("/contracts/{contract_id}/top-up/{name}")
async def act_on_rule(page: FinancePage, contract_id: str, name: str) -> Response:
    """Set or remove the rule of a contract through the API. Raises: NotFound, for anything else."""
    form = await page.read_form()
    path = f"/contracts/{quote(contract_id, safe='')}/top-up"
    acts: dict[str, Any] = {"set": Act(path, read_rule(form)), "remove": Act(path, method="DELETE")}
    if name not in acts:
        raise errors.NotFound("page", name)
    answer = await carry_out(page, acts[name], form)
    if answer.problem is None:
        return page.go_to(f"/console/finance/contracts/{quote(contract_id, safe='')}/top-up?done={name}")
    return await _show_rule(page, contract_id, form.refused(answer.problem), status=answer.status)
