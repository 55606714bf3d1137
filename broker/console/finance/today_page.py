"""Finance's home: what needs it now, each with the way to where it is done."""

from urllib.parse import quote

from fastapi import Response
from fastapi.responses import HTMLResponse

from broker import errors
from broker.billing.closing.runs import find_last
from broker.console.finance.acts import Act, carry_out
from broker.console.finance.closing_view import STATUSES, show_closing
from broker.console.finance.months import choose_last_month
from broker.console.finance.today_view import ACTS, TodayView, list_needs
from broker.console.frame.forms import Form
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.ledger import service as ledger
from broker.reports.finance_needs import read_needs
from broker.reports.reconciliation import find_last_reconciled
from broker.work import Work

router = page_router("/finance")


@router.get("/today")
async def show(page: FinancePage, done: str | None = None) -> HTMLResponse:
    """Show what needs finance: closing, unmatched money, overdue invoices, proposals, disputes."""
    return await _show(page, await page.begin(), done=done)


async def _show(
    page: Page, work: Work, *, form: Form | None = None, done: str | None = None, status: int = 200
) -> HTMLResponse:
    today = await read_panel(page.request, work, _read)
    return page.show(
        "finance/today.html",
        status=status,
        today=today,
        form=form or Form(),
        blank=Form,
        done=done,
        closing_words=STATUSES,
        acts=ACTS,
    )


async def _read(work: Work) -> Panel[TodayView]:
    choice = choose_last_month(None, work.now, work.settings.time_zone)
    period = await ledger.find_closed_period(work, choice.month)
    closed_by = None if period is None else period.closed_by
    closing = show_closing(choice.month, await find_last(work, choice.month), closed_by)
    needs, last = await read_needs(work), await find_last_reconciled(work)
    return Panel.ready(TodayView(needs, closing, list_needs(needs, closing, last)), work.now)


@router.post("/today/{name}")
async def decide(page: FinancePage, name: str) -> Response:
    """Approve or reject a proposal through the API. Raises: NotFound, for anything else."""
    form = await page.read_form()
    if name not in {"approve", "reject"}:
        raise errors.NotFound("page", page.request.url.path)
    body = {"reason": form.get("reason")} if name == "reject" else None
    act = Act(f"/approvals/{quote(form.get('approval_id'), safe='')}/{name}", body)
    answer = await carry_out(page, act, form)
    if answer.problem is None:
        return page.go_to(f"/console/finance/today?done={name}")
    return await _show(page, await page.begin(), form=form.refused(answer.problem), status=answer.status)
