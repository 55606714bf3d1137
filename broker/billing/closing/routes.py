"""Closing a month: its list before, its progress meanwhile, what it has made final after."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Path, Request

from broker.billing.closing.checklist import list_findings
from broker.billing.closing.model import Check
from broker.billing.closing.runs import find_last, start_closing
from broker.billing.closing.schemas import ClosingIn, ClosingOut
from broker.billing.closing.tables import Closing
from broker.billing.schemas import MONTH_PATTERN
from broker.http.edge import FinanceWork, feature_router
from broker.ledger import service as ledger
from broker.work import Work

router = feature_router("/closings", "billing")
MonthPath = Annotated[
    str, Path(pattern=MONTH_PATTERN, description="Calendar month of the house.", examples=["2026-11"])
]


async def _get_month_checks(request: Request) -> Sequence[Check]:
    checks: Sequence[Check] = request.app.state.month_checks
    return checks


MonthChecks = Annotated[Sequence[Check], Depends(_get_month_checks)]


@router.post("", status_code=202)
async def close_month(work: FinanceWork, checks: MonthChecks, body: ClosingIn) -> ClosingOut:
    """Close a month of the house: all drafts become final in the background, then its books are locked for good.

    One that is under way is answered as it is. Ask for the month to see how far it is.
    """
    closing = await start_closing(work, body.month, body.accept, checks)
    return await _show(work, body.month, closing, ())


@router.get("/{month}")
async def get_closing(work: FinanceWork, checks: MonthChecks, month: MonthPath) -> ClosingOut:
    """Get the list of what is to be seen to before a month is closed, and how far its closing is."""
    return await _show(work, month, await find_last(work, month), checks)


@router.get("/{month}/progress")
async def get_closing_progress(work: FinanceWork, month: MonthPath) -> ClosingOut:
    """Get how far the closing of a month is, without the list: cheap enough to be asked every second."""
    period = await ledger.find_closed_period(work, month)
    closed_by = None if period is None else period.closed_by
    return ClosingOut.of(month, await find_last(work, month), (), closed_by)


async def _show(work: Work, month: str, closing: Closing | None, checks: Sequence[Check]) -> ClosingOut:
    period = await ledger.find_closed_period(work, month)
    findings = [] if period is not None else await list_findings(work, month, checks)
    return ClosingOut.of(month, closing, findings, None if period is None else period.closed_by)
