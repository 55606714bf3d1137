"""Commitments: how far each contract is, its burn-down, grants that end soon, and orders that are not paid."""

from datetime import timedelta
from functools import partial
from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse

from broker.console.finance.burn_down_chart import place_burn_down
from broker.console.finance.commitments_view import (
    CONTRACT_COLUMNS,
    GRANT_COLUMNS,
    GRANT_KINDS,
    ORDER_COLUMNS,
    PLANS,
    CommitmentsView,
    GrantsView,
    expect_true_up,
    order_rows,
)
from broker.console.frame.page import FinancePage, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.http.shapes import Whole
from broker.identity import service as identity
from broker.reports.commitments.report import CommitmentsReport, report_commitments
from broker.reports.commitments.trace import read_traces
from broker.signing.purchases import PurchaseStatus, fetch_purchases
from broker.work import Work

ORDERS_SHOWN = 50

router = page_router("/finance")


@router.get("/commitments")
async def show(
    page: FinancePage,
    contract_id: str | None = None,
    customer_id: str | None = None,
    days: Annotated[Whole, Query(ge=1, le=366)] = 90,
) -> HTMLResponse:
    """Show commitments with one of them drawn, the grants that end within some days, and open orders."""
    work = await page.begin()
    report = await report_commitments(work, timedelta(days=days), customer_id=customer_id)
    contracts = partial(_read_contracts, report=report, contract_id=contract_id)
    return page.show(
        "finance/commitments.html",
        contracts=await read_panel(page.request, work, contracts),
        grants=Panel.of(GrantsView(report.grants, days), work.now, shown=len(report.grants), is_filtered=days != 90),
        orders=await read_panel(page.request, work, partial(_read_orders, customer_id=customer_id)),
        days=days,
        contract_columns=CONTRACT_COLUMNS,
        grant_columns=GRANT_COLUMNS,
        order_columns=ORDER_COLUMNS,
        grant_kinds=GRANT_KINDS,
        plans=PLANS,
        true_up_of=expect_true_up,
        customer_id=customer_id,
    )


async def _read_contracts(work: Work, *, report: CommitmentsReport, contract_id: str | None) -> Panel[CommitmentsView]:
    rows = order_rows(report.rows)
    chosen = next((row for row in rows if row.terms.id == contract_id), rows[0] if rows else None)
    trace = None if chosen is None else (await read_traces(work, [chosen]))[chosen.terms.id]
    chart = None if trace is None else place_burn_down(trace)
    view = CommitmentsView(rows, chosen, trace, chart)
    return Panel.of(view, work.now, shown=len(rows), is_filtered=False)


async def _read_orders(work: Work, *, customer_id: str | None) -> Panel[object]:
    views, _after = await fetch_purchases(
        work, limit=ORDERS_SHOWN, cursor=None, status=PurchaseStatus.OPEN, customer_id=customer_id
    )
    names = await identity.list_names(work, {each.grant.customer_id for each in views})
    return Panel.of((views, names), work.now, shown=len(views), is_filtered=False)
