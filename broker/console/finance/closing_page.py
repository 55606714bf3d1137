"""Closing a month: what is in the way, how far it is, and the vouchers and chart of accounts that follow."""

from fastapi import Response
from fastapi.responses import HTMLResponse

from broker.billing.closing.checklist import list_findings
from broker.billing.closing.runs import find_last
from broker.billing.vouchers.chart import Auxiliary, list_unmapped
from broker.billing.vouchers.service import get_chart
from broker.console.finance.closing_view import (
    STATUSES,
    CheckLine,
    ClosingView,
    list_checks,
    list_refused_ids,
    name_refused,
    show_closing,
)
from broker.console.finance.months import MonthAsked, MonthChoice, choose_last_month
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.console.frame.problem import rename_errors
from broker.console.naming import name_told
from broker.ledger import service as ledger
from broker.work import Work

router = page_router("/finance")
PARTS = ("code", "name", "auxiliary")
AUXILIARIES = [each.value for each in Auxiliary]


@router.get("/closing")
async def show(page: FinancePage, month: MonthAsked = None, show: str | None = None) -> HTMLResponse:
    """Show how far the closing of a month is, and what is in its way."""
    work = await page.begin()
    choice = choose_last_month(month, page.now, work.settings.time_zone)
    if "checklist" in (page.part, show):
        return await _show_checklist(page, work, choice)
    return page.show("finance/closing.html", choice=choice, closing=await _read(page, work, choice), words=STATUSES)


async def _read(page: Page, work: Work, choice: MonthChoice) -> Panel[ClosingView]:
    async def read(work: Work) -> Panel[ClosingView]:
        period = await ledger.find_closed_period(work, choice.month)
        closed_by = None if period is None else period.closed_by
        view = show_closing(choice.month, await find_last(work, choice.month), closed_by)
        return Panel.ready(name_refused(view, await name_told(work, list_refused_ids(view))), work.now)

    return await read_panel(page.request, work, read)


async def _show_checklist(
    page: Page, work: Work, choice: MonthChoice, form: Form | None = None, status: int = 200
) -> HTMLResponse:
    async def read(work: Work) -> Panel[list[CheckLine]]:
        findings = await list_findings(work, choice.month, page.request.app.state.month_checks)
        names = await name_told(work, [example for each in findings for example in each.examples])
        return Panel.ready(list_checks(findings, names), work.now)

    checklist = await read_panel(page.request, work, read)
    return page.show("finance/checklist.html", status=status, choice=choice, checklist=checklist, form=form or Form())


@router.post("/closing")
async def close_month(page: FinancePage) -> Response:
    """Close a month through the API; where something is in the way, the list says what."""
    form = await page.read_form()
    body = {"month": form.get("month"), "accept": form.lists.get("accept", [])}
    answer = await page.ask("POST", "/v1/closings", body, key=form.key)
    if answer.problem is None:
        return page.go_to(f"/console/finance/closing?month={form.get('month')}")
    work = await page.begin()
    choice = choose_last_month(form.get("month") or None, page.now, work.settings.time_zone)
    return await _show_checklist(page, work, choice, form.refused(answer.problem), answer.status)


@router.get("/closing/accounts")
async def show_accounts(page: FinancePage, done: str | None = None) -> HTMLResponse:
    """Show the chart of accounts (科目表) by which vouchers are written."""
    return await _show_accounts(page, await page.begin(), Form(), done=done)


async def _show_accounts(
    page: Page, work: Work, form: Form, *, status: int = 200, done: str | None = None
) -> HTMLResponse:
    kept = await get_chart(work)
    return page.show(
        "finance/accounts.html",
        status=status,
        kept=kept,
        unmapped=list_unmapped(kept.chart),
        auxiliaries=AUXILIARIES,
        form=form,
        done=done,
    )


@router.post("/closing/accounts")
async def replace_accounts(page: FinancePage) -> Response:
    """Replace the chart of accounts by what was filled in: an account without a code is left out."""
    form = await page.read_form()
    accounts = list_accounts(form)
    answer = await page.ask("PUT", "/v1/chart-of-accounts", {"accounts": accounts}, key=form.key)
    if answer.problem is None:
        return page.go_to("/console/finance/closing/accounts?done=yes")
    places = {
        f"accounts.{place}.{part}": f"{each['account']}.{part}" for place, each in enumerate(accounts) for part in PARTS
    }
    refused = form.refused(rename_errors(answer.problem, places))
    return await _show_accounts(page, await page.begin(), refused, status=answer.status)


def list_accounts(form: Submitted) -> list[dict[str, str]]:
    """List the accounts that have a code in a form. Pure."""
    names = [name.removesuffix(".code") for name in form.values if name.endswith(".code")]
    return [
        {"account": each, **{part: form.get(f"{each}.{part}") for part in PARTS}}
        for each in names
        if form.get(f"{each}.code")
    ]
