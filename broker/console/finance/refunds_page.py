"""Refunds: money that is to go back, has been sent, arrived, or came back; finance tells what the bank says."""

from functools import partial
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import HTMLResponse

from broker import errors
from broker.console.finance.acts import Act, carry_out
from broker.console.finance.refunds_view import COLUMNS, METHODS, SOURCES, STATES, RefundsView
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.listing import Listing
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.identity import service as identity
from broker.payments.model import RefundStatus
from broker.payments.refund_listing import fetch_refunds
from broker.work import Work

SHOWN = 50

router = page_router("/finance")


@router.get("/refunds")
async def show_refunds(
    page: FinancePage, state: RefundStatus = RefundStatus.REQUESTED, cursor: str | None = None, done: str | None = None
) -> HTMLResponse:
    """Show the refunds that are to be sent, or those of another state."""
    return await _show(page, await page.begin(), state, cursor=cursor, done=done)


async def _show(
    page: Page,
    work: Work,
    state: RefundStatus,
    *,
    cursor: str | None = None,
    refused: Form | None = None,
    refused_id: str | None = None,
    done: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    return page.show(
        "finance/refunds.html",
        status=status,
        refunds=await read_panel(page.request, work, partial(_read, state=state, cursor=cursor)),
        state=state,
        states=STATES,
        sources=SOURCES,
        methods=METHODS,
        columns=COLUMNS,
        blank=Form,
        refused=refused,
        refused_id=refused_id,
        done=done,
    )


async def _read(work: Work, *, state: RefundStatus, cursor: str | None) -> Panel[RefundsView]:
    found = await fetch_refunds(work, state, limit=SHOWN, cursor=cursor)
    names = await identity.list_names(work, {row.customer_id for row in found.rows if row.customer_id is not None})
    view = RefundsView(found, names, Listing(len(found.rows), found.count, found.next_cursor, cursor))
    return Panel.of(view, work.now, shown=len(found.rows), is_filtered=cursor is not None)


@router.post("/refunds/{refund_id}/{name}")
async def act_on_refund(page: FinancePage, refund_id: str, name: str) -> Response:
    """Tell through the API that a refund was sent, arrived, or came back."""
    form = await page.read_form()
    before = RefundStatus.SENT if form.get("state") == RefundStatus.SENT else RefundStatus.REQUESTED
    answer = await carry_out(page, plan_act(refund_id, name, form), form)
    if answer.problem is None:
        return page.go_to(f"/console/finance/refunds?state={before}&done={name}")
    refused = form.refused(answer.problem)
    return await _show(page, await page.begin(), before, refused=refused, refused_id=refund_id, status=answer.status)


def plan_act(refund_id: str, name: str, form: Submitted) -> Act:
    """Plan what a form asks for. Pure. Raises: NotFound, for an act that there is not."""
    bodies = {
        "send": {"bank_reference": form.get("bank_reference")},
        "confirm": None,
        "fail": {"reason": form.get("reason")},
    }
    if name not in bodies:
        raise errors.NotFound("page", name)
    return Act(f"/refunds/{quote(refund_id, safe='')}/{name}", bodies[name])
