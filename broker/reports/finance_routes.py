"""Reports for finance alone: revenue, commitments, the FOCUS export."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from broker.billing.documents.language import InLanguage
from broker.http.csv_table import MEDIA_TYPE
from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.shapes import OfContract, OfCustomer, Whole
from broker.identity import service as identity
from broker.reports.asking import Format, Month, as_files_too
from broker.reports.commitments.report import report_commitments
from broker.reports.commitments.schemas import CommitmentsOut, tabulate_commitments, tabulate_grants
from broker.reports.focus.columns import COLUMNS
from broker.reports.focus.lines import read_focus_lines
from broker.reports.focus.rows import make_focus_rows
from broker.reports.guaranteed_use import report_guaranteed_use
from broker.reports.pool_margin import report_pool_margin
from broker.reports.pool_margin_schemas import PoolMarginOut, tabulate_pools
from broker.reports.report_files import ReportTable, answer_file, write_csv
from broker.reports.revenue.movements import report_revenue
from broker.reports.revenue.schemas import RevenueOut, tabulate_revenue, tabulate_waterfall

router = feature_router("/reports", "reports")

# Columns that hold what customers wrote.
WRITTEN_OUTSIDE = ("BillingAccountName", "ChargeDescription", "ResourceName", "SubAccountName")
Days = Annotated[Whole, Query(ge=1, le=366, description="Grants that end within so many days.", examples=[90])]


@router.get("/revenue", response_model=RevenueOut, responses=as_files_too("report"))
async def revenue(
    work: FinanceWork,
    language: InLanguage,
    month: Month,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    table: Annotated[
        Literal["contracts", "waterfall"], Query(description="Which table a file has.", examples=["waterfall"])
    ] = "contracts",
    as_format: Format = "json",
) -> RevenueOut | Response:
    """Report what a month earned, and what is deferred: from the ledger, contract by contract, tax apart."""
    found = await report_revenue(work, month, customer_id=customer_id, contract_id=contract_id)
    report = RevenueOut.of(found, work.now)
    if as_format == "json":
        return report
    wanted = tabulate_revenue(report) if table == "contracts" else tabulate_waterfall(report)
    return answer_file(wanted, as_format, language, work.now)


@router.get("/commitments", response_model=CommitmentsOut, responses=as_files_too("report"))
async def commitments(
    work: BillingReader,
    language: InLanguage,
    customer_id: OfCustomer = None,
    days: Days = 90,
    table: Annotated[
        Literal["contracts", "grants"], Query(description="Which table a file has.", examples=["grants"])
    ] = "contracts",
    as_format: Format = "json",
) -> CommitmentsOut | Response:
    """Report how far contracts are with what they committed to, when that is used up, and which grants end soon."""
    found = await report_commitments(work, timedelta(days=days), customer_id=customer_id)
    report = CommitmentsOut.of(found, work.now)
    if as_format == "json":
        return report
    wanted = tabulate_commitments(report) if table == "contracts" else tabulate_grants(report)
    return answer_file(wanted, as_format, language, work.now)


@router.get("/pool-margin", response_model=PoolMarginOut, responses=as_files_too("report"))
async def pool_margin(
    work: FinanceWork, language: InLanguage, month: Month, as_format: Format = "json"
) -> PoolMarginOut | Response:
    """Report what usage on each pool was worth, what was borne of it and why, and what the pool cost, idle or not."""
    guarantees = await report_guaranteed_use(work, month)
    report = PoolMarginOut.of(month, await report_pool_margin(work, month), guarantees, work.now)
    return report if as_format == "json" else answer_file(tabulate_pools(report), as_format, language, work.now)


@router.get(
    "/focus",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "The rows, as CSV."}},
)
async def focus(
    work: BillingReader,
    month: Month,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    version: Annotated[
        Literal["1.2", "1.3"], Query(description="Of the format: 1.3 adds three columns.", examples=["1.2"])
    ] = "1.3",
) -> StreamingResponse:
    """Export what a month's final invoices ask for in the columns of FOCUS; a customer gets its own."""
    if customer_id is not None:
        await identity.get_customer(work, customer_id)
    found = await read_focus_lines(work, month, customer_id=customer_id, contract_id=contract_id)
    columns = COLUMNS[version]
    rows = [{name: row.get(name) for name in columns} for row in make_focus_rows(found)]
    table = ReportTable(f"focus-{version}-{month}", columns, rows, WRITTEN_OUTSIDE)
    headers = {"Content-Disposition": f'attachment; filename="{table.stem}.csv"'}
    return StreamingResponse(write_csv(table), media_type=MEDIA_TYPE, headers=headers)
