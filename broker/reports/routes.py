"""Reports for finance and for ops."""

from typing import Annotated, Any, Literal

from fastapi import Query, Response

from broker.billing.schemas import LIKE_A_MONTH, MONTH_PATTERN
from broker.estimator.accuracy import judge_estimates
from broker.estimator.schemas import EstimatorAccuracyOut
from broker.http.csv_table import MEDIA_TYPE
from broker.http.edge import BillingReader, FinanceWork, OpsWork, feature_router
from broker.http.shapes import OfContract, OfCustomer, Whole
from broker.identity import service as identity
from broker.ledger.reading.journal import list_journal
from broker.reports import service
from broker.reports.journal_schemas import JournalOut, write_journal_csv
from broker.reports.margin import report_margin
from broker.reports.margin_schemas import MarginReportOut, write_margin_csv
from broker.reports.plan_advice import advise_customer
from broker.reports.plan_advice_schemas import PlanAdviceOut, write_advice_csv
from broker.reports.receivables import report_receivables
from broker.reports.receivables_schemas import ReceivablesOut, write_receivables_csv
from broker.reports.reconciliation import reconcile_books
from broker.reports.reconciliation_schemas import ReconciliationOut
from broker.reports.schemas import MonthlyCostOut, write_csv
from broker.reports.start_accuracy import judge_starts
from broker.reports.start_accuracy_schemas import StartAccuracyOut
from pricing.plan_advice.costs import TERM_MONTHS

MOST_MONTHS = 36

router = feature_router("/reports", "reports")


def as_csv_too(report: str) -> dict[int | str, dict[str, Any]]:
    """Describe the answer of a route that has a report as JSON, and as CSV for who asks for that."""
    return {200: {"content": {"text/csv": {}}, "description": f"The {report}, as JSON or CSV."}}


Month = Annotated[str, LIKE_A_MONTH, Query(pattern=MONTH_PATTERN, description="Billing month.", examples=["2026-11"])]
Months = Annotated[
    Whole, Query(ge=1, le=MOST_MONTHS, description="Of how many whole months at most, the last ones.", examples=[12])
]
Format = Annotated[Literal["json", "csv"], Query(alias="format", description="json or csv.", examples=["json"])]


@router.get(
    "/monthly-cost",
    response_model=MonthlyCostOut,
    responses=as_csv_too("report"),
)
async def monthly_cost(
    work: BillingReader,
    month: Month,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    as_format: Format = "json",
) -> MonthlyCostOut | Response:
    """Report what each contract has cost in a billing month, by project; a customer sees its own."""
    rows = await service.report_monthly_cost(work, month, customer_id=customer_id, contract_id=contract_id)
    report = MonthlyCostOut.of(month, rows, work.now)
    if as_format == "json":
        return report
    return _answer_csv(write_csv(report), f"monthly-cost-{month}.csv")


@router.get(
    "/plan-advice",
    response_model=PlanAdviceOut,
    responses=as_csv_too("advice"),
)
async def plan_advice(
    work: BillingReader, customer_id: OfCustomer = None, months: Months = TERM_MONTHS, as_format: Format = "json"
) -> PlanAdviceOut | Response:
    """Tell what a customer's last months would have cost on each plan, and which to sign next: for the next contract.

    Staff names the customer; a customer sees its own.
    """
    wanted = identity.resolve_customer(work, customer_id)
    advice = PlanAdviceOut.of(await advise_customer(work, wanted, most_months=months), work.now)
    return advice if as_format == "json" else _answer_csv(write_advice_csv(advice), f"plan-advice-{wanted}.csv")


@router.get(
    "/receivables",
    response_model=ReceivablesOut,
    responses=as_csv_too("report"),
)
async def receivables(
    work: BillingReader, customer_id: OfCustomer = None, as_format: Format = "json"
) -> ReceivablesOut | Response:
    """Report what is owed of final invoices now, by how long it is overdue; a customer sees its own."""
    report = ReceivablesOut.of(await report_receivables(work, customer_id=customer_id), work.now)
    if as_format == "json":
        return report
    return _answer_csv(write_receivables_csv(report), f"receivables-{work.now:%Y-%m-%d}.csv")


@router.get(
    "/margin",
    response_model=MarginReportOut,
    responses=as_csv_too("report"),
)
async def margin(work: FinanceWork, month: Month, as_format: Format = "json") -> MarginReportOut | Response:
    """Report what the house has borne of jobs beyond their cap or limit in a billing month, job by job."""
    report = MarginReportOut.of(month, await report_margin(work, month), work.now)
    return report if as_format == "json" else _answer_csv(write_margin_csv(report), f"margin-{month}.csv")


@router.get("/start-accuracy")
async def start_accuracy(
    work: OpsWork,
    weeks: Annotated[Whole, Query(ge=1, le=104, description="So many weeks, this one included.", examples=[8])] = 8,
    queue: Annotated[str | None, Query(description="Only jobs of this queue.", examples=["standard"])] = None,
) -> StartAccuracyOut:
    """Report how good the starts were that waiting jobs were told, by the week in which they were told first."""
    return StartAccuracyOut.of(await judge_starts(work, weeks, queue), work.now)


@router.get("/estimator-accuracy")
async def estimator_accuracy(work: OpsWork) -> EstimatorAccuracyOut:
    """Report how good the estimates of finished jobs were, judged by the latest 200 of all customers."""
    return EstimatorAccuracyOut.of(await judge_estimates(work), work.now)


@router.get(
    "/journal",
    response_model=JournalOut,
    responses=as_csv_too("journal"),
)
async def journal(work: FinanceWork, month: Month, as_format: Format = "json") -> JournalOut | Response:
    """List the general-ledger journal (凭证) of a calendar month: each transfer of money is a voucher of two sides."""
    report = JournalOut.of(month, await list_journal(work, month), work.now)
    return report if as_format == "json" else _answer_csv(write_journal_csv(report), f"journal-{month}.csv")


@router.get("/reconciliation")
async def reconciliation(work: FinanceWork) -> ReconciliationOut:
    """Reconcile usage, charges, balances, invoices and payments of all contracts, link by link."""
    return ReconciliationOut.of(await reconcile_books(work), work.now)


def _answer_csv(content: bytes, filename: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(content, media_type=MEDIA_TYPE, headers=headers)
