"""Reports for finance and for ops."""

from typing import Annotated

from fastapi import Query, Response

from broker.billing.documents.language import InLanguage
from broker.calibrations.service import get_newest_calibration
from broker.estimator.accuracy import judge_estimates
from broker.estimator.schemas import EstimatorAccuracyOut
from broker.http.edge import BillingReader, FinanceWork, OpsWork, feature_router
from broker.http.shapes import OfContract, OfCustomer, OfProject, Whole, written_like
from broker.identity import service as identity
from broker.ledger.reading.journal import list_journal
from broker.reports.asking import Format, Month, as_files_too
from broker.reports.costs.grouping import AS_EVER, Dimension, Filters
from broker.reports.costs.report import CostQuestion, report_monthly_cost
from broker.reports.costs.schemas import MonthlyCostOut, tabulate_costs
from broker.reports.journal_schemas import JournalOut, tabulate_journal
from broker.reports.margin import report_margin
from broker.reports.margin_schemas import MarginReportOut, tabulate_margin
from broker.reports.plan_advice import advise_customer
from broker.reports.plan_advice_schemas import PlanAdviceOut, tabulate_advice
from broker.reports.receivables import report_receivables
from broker.reports.receivables_schemas import ReceivablesOut, tabulate_receivables
from broker.reports.reconciliation import reconcile_books
from broker.reports.reconciliation_schemas import ReconciliationOut
from broker.reports.report_files import answer_file
from broker.reports.start_accuracy import judge_starts
from broker.reports.start_accuracy_schemas import StartAccuracyOut
from pricing.plan_advice.costs import TERM_MONTHS
from pricing.plans import PlanName

MOST_MONTHS = 36

router = feature_router("/reports", "reports")

Months = Annotated[
    Whole, Query(ge=1, le=MOST_MONTHS, description="Of how many whole months at most, the last ones.", examples=[12])
]


BY_DEFAULT = ",".join(AS_EVER)
NAME_OF_DIMENSION = f"({'|'.join(Dimension)})"
GROUPS_PATTERN = f"^{NAME_OF_DIMENSION}(,{NAME_OF_DIMENSION})*$"
GroupBy = Annotated[
    str,
    written_like(GROUPS_PATTERN, BY_DEFAULT),
    Query(
        pattern=GROUPS_PATTERN,
        description=f"What rows are told apart by, of {', '.join(Dimension)}, with commas between them.",
        examples=["plan,gpu_type"],
    ),
]


@router.get("/monthly-cost", response_model=MonthlyCostOut, responses=as_files_too("report"))
async def monthly_cost(
    work: BillingReader,
    language: InLanguage,
    month: Month,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    project_id: OfProject = None,
    plan: Annotated[PlanName | None, Query(description="Only contracts of this plan.", examples=["prepaid"])] = None,
    gpu_type: Annotated[str | None, Query(description="Only this type of device.", examples=["A100-80G"])] = None,
    contract_number: Annotated[
        str | None, Query(description="Only of contracts with this number.", examples=["HT-2026-017"])
    ] = None,
    group_by: GroupBy = BY_DEFAULT,
    month_over_month: Annotated[
        bool, Query(description="Whether the month before stands beside it.", examples=[True])
    ] = False,
    as_format: Format = "json",
) -> MonthlyCostOut | Response:
    """Report what a billing month costs, as of now or, once it is closed, as invoices say; a customer sees its own."""
    wanted = {"project_id": project_id, "plan": plan, "gpu_type": gpu_type, "contract_number": contract_number}
    filters = Filters({name: str(value) for name, value in wanted.items() if value is not None})
    by = tuple(dict.fromkeys(map(Dimension, group_by.split(","))))
    question = CostQuestion(month, customer_id, contract_id, filters, by, month_over_month)
    report = await report_monthly_cost(work, question)
    if as_format == "json":
        return MonthlyCostOut.of(report, work.now)
    return answer_file(tabulate_costs(report), as_format, language, work.now)


@router.get(
    "/plan-advice",
    response_model=PlanAdviceOut,
    responses=as_files_too("advice"),
)
async def plan_advice(
    work: BillingReader,
    language: InLanguage,
    customer_id: OfCustomer = None,
    months: Months = TERM_MONTHS,
    as_format: Format = "json",
) -> PlanAdviceOut | Response:
    """Tell what a customer's last months would have cost on each plan, and which to sign next: for the next contract.

    Staff names the customer; a customer sees its own.
    """
    wanted = identity.resolve_customer(work, customer_id)
    advice = PlanAdviceOut.of(await advise_customer(work, wanted, most_months=months), work.now)
    return advice if as_format == "json" else answer_file(tabulate_advice(advice), as_format, language, work.now)


@router.get(
    "/receivables",
    response_model=ReceivablesOut,
    responses=as_files_too("report"),
)
async def receivables(
    work: BillingReader, language: InLanguage, customer_id: OfCustomer = None, as_format: Format = "json"
) -> ReceivablesOut | Response:
    """Report what is owed of final invoices now, by how long it is overdue; a customer sees its own."""
    report = ReceivablesOut.of(await report_receivables(work, customer_id=customer_id), work.now)
    if as_format == "json":
        return report
    return answer_file(tabulate_receivables(report), as_format, language, work.now)


@router.get(
    "/margin",
    response_model=MarginReportOut,
    responses=as_files_too("report"),
)
async def margin(
    work: FinanceWork, language: InLanguage, month: Month, as_format: Format = "json"
) -> MarginReportOut | Response:
    """Report what the house has borne of jobs beyond their cap or limit in a billing month, job by job."""
    report = MarginReportOut.of(month, await report_margin(work, month), work.now)
    return report if as_format == "json" else answer_file(tabulate_margin(report), as_format, language, work.now)


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
    changes = (await get_newest_calibration(work)).changes
    return EstimatorAccuracyOut.of(await judge_estimates(work), work.now, changes)


@router.get(
    "/journal",
    response_model=JournalOut,
    responses=as_files_too("journal"),
)
async def journal(
    work: FinanceWork, language: InLanguage, month: Month, as_format: Format = "json"
) -> JournalOut | Response:
    """List the general-ledger journal (凭证) of a calendar month: each transfer of money is a voucher of two sides."""
    report = JournalOut.of(month, await list_journal(work, month), work.now)
    return report if as_format == "json" else answer_file(tabulate_journal(report), as_format, language, work.now)


@router.get("/reconciliation")
async def reconciliation(work: FinanceWork) -> ReconciliationOut:
    """Reconcile usage, charges, balances, invoices and payments of all contracts, link by link."""
    return ReconciliationOut.of(await reconcile_books(work), work.now)
