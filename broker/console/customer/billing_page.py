"""费用中心: what there is to spend, grants, invoices, fapiao, contracts, budgets, ledger: each has its tab."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from broker import errors
from broker.billing import service as billing
from broker.billing.debts import list_due_invoices
from broker.billing.model import sum_lines
from broker.billing.upcoming import list_upcoming
from broker.clock import local_day
from broker.console.customer.account_view import ARREARS_WORDS, PACE_DAYS, compute_days_left, show_spend
from broker.console.customer.billing_views import (
    BillsShown,
    BudgetsShown,
    ContractsShown,
    FapiaoShown,
    GrantsShown,
    LedgerShown,
    OverviewShown,
    PlanChange,
    make_grant_rows,
)
from broker.console.frame.days import DayAsked
from broker.console.frame.forms import Form, read_whole
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.frame.problem import Problem
from broker.contracts import service as contracts
from broker.contracts.amendment.amending import read_amendments, select_amendments
from broker.contracts.amendment.new_amendment import NewAmendment
from broker.contracts.keeping.events import ContractEventKind, select_contract_events
from broker.contracts.terms.model import ContractTerms
from broker.fapiao import service as fapiao
from broker.http.csv_table import MEDIA_TYPE, write_table
from broker.jobs.service import load_jobs
from broker.ledger.grants.coverage import read_coverage
from broker.ledger.grants.grant_balances import list_draws, read_grant_balances
from broker.ledger.limits.budgets import read_taken
from broker.ledger.rating.usage import has_many_lines
from broker.ledger.reading.account_overview import read_account_overview
from broker.ledger.reading.balance import Balance, read_contract_balance
from broker.ledger.reading.history import read_contract_balance_at
from broker.ledger.reading.spend import read_spend
from broker.ledger.reading.statement import read_statement
from broker.notices.contacts import select_contacts
from broker.signing.amendments import preview_amendment
from broker.signing.purchases import fetch_purchases
from broker.signing.top_ups import get_top_up
from broker.work import Work
from pricing.plans import PlanName

router = page_router("/billing")

Tab = Literal["overview", "grants", "bills", "fapiao", "contracts", "budgets", "ledger"]
TABS: tuple[tuple[Tab, str], ...] = (
    ("overview", N_("Account overview")),
    ("grants", N_("Grants")),
    ("bills", N_("Invoices")),
    ("fapiao", N_("Fapiao")),
    ("contracts", N_("Contracts")),
    ("budgets", N_("Budgets")),
    ("ledger", N_("Ledger")),
)
PAGE = 20
LAST = 10**18  # no draw has a higher number
MOST_ALERTS = 12
# The lines of a month of more than these are not composed for a page: that takes seconds.
MOST_LINES = 2000


@dataclass(frozen=True)
class Asked:
    """What the URL asks of a tab."""

    cursor: str | None = None
    grant_id: str | None = None
    as_of: date | None = None
    plan: PlanName | None = None
    hours: int | None = None
    number: int = 1


@router.get("")
async def show_billing(
    page: CustomerPage,
    tab: Tab = "overview",
    contract_id: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    grant_id: Annotated[str | None, Query(max_length=64)] = None,
    as_of: DayAsked = None,
    plan: PlanName | None = None,
    hours: Annotated[int | None, Query(ge=1, le=100_000_000)] = None,
    number: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> HTMLResponse:
    """Show one tab of the billing pages, for the contract that the URL names or the latest in force."""
    return await show_tab(page, tab, contract_id, Asked(cursor, grant_id, as_of, plan, hours, number))


async def show_tab(
    page: Page,
    tab: Tab,
    contract_id: str | None = None,
    asked: Asked = Asked(),
    *,
    form: Form | None = None,
    status: int = 200,
) -> HTMLResponse:
    """Show a tab; `form` is one of it that was refused."""
    work = await page.begin()
    own = await _list_contracts(work)
    chosen = _choose(own, contract_id, work.now)
    reading: dict[str, Callable[[], Awaitable[Any]]] = {
        "overview": lambda: _read_overview(work, chosen, asked),
        "grants": lambda: _read_grants(work, chosen, asked),
        "bills": lambda: _read_bills(work, chosen, asked),
        "fapiao": lambda: _read_fapiao(work, asked),
        "contracts": lambda: _read_contracts(work, own, chosen, asked),
        "budgets": lambda: _read_budgets(work, chosen),
        "ledger": lambda: _read_ledger(work, own, asked),
    }
    view = await reading[tab]() if chosen is not None or tab == "fapiao" else None
    panel = Panel.of(view, page.now, shown=view is not None, is_filtered=False)
    return page.show(
        "customer/billing.html",
        status=status,
        tab=tab,
        tab_names=TABS,
        box=panel,
        own=own,
        chosen=chosen,
        asked=asked,
        form=form or Form(),
    )


async def _list_contracts(work: Work) -> list[ContractTerms]:
    """List the customer's contracts, the newest first."""
    query = contracts.select_contracts(customer_id=work.actor.customer_id)
    rows, _after = await fetch_newest(work, query, limit=100)
    terms = await contracts.load_terms(work, {row.id for row in rows})
    return [terms[row.id] for row in rows]


def _choose(own: Sequence[ContractTerms], contract_id: str | None, now: datetime) -> ContractTerms | None:
    """Choose the contract that the URL names, or the newest in force, or the newest. Raises: NotFound."""
    if contract_id is not None:
        found = next((each for each in own if each.id == contract_id), None)
        if found is None:
            raise errors.NotFound("contract", contract_id)
        return found
    return next((each for each in own if each.covers(now)), own[0] if own else None)


async def _read_overview(work: Work, chosen: ContractTerms | None, asked: Asked) -> OverviewShown:
    assert chosen is not None
    overview = await read_account_overview(work, chosen.id)
    days = await read_spend(work, [chosen.id], days=PACE_DAYS, time_zone=chosen.time_zone)
    spend = show_spend(days, local_day(chosen.starts_at, chosen.time_zone))
    return OverviewShown(
        overview=overview,
        spend=spend,
        days_left=compute_days_left(overview.available, spend.a_day),
        arrears=ARREARS_WORDS[chosen.arrears_state],
        overdue=await list_due_invoices(work, chosen.id),
        earlier=None if asked.as_of is None else await _read_earlier(work, chosen, asked.as_of),
    )


async def _read_earlier(work: Work, chosen: ContractTerms, day: date) -> tuple[date, Balance]:
    """Read the balance as it was when a day was over in the contract's time zone; of today and later, as it is now."""
    day = min(day, local_day(work.now, chosen.time_zone))
    end = datetime.combine(day, time(), ZoneInfo(chosen.time_zone)) + timedelta(days=1)
    return day, await read_contract_balance_at(work, chosen.id, min(end.astimezone(UTC), work.now))


async def _read_grants(work: Work, chosen: ContractTerms | None, asked: Asked) -> GrantsShown:
    assert chosen is not None
    balances = await read_grant_balances(work, await contracts.list_grants(work, chosen.id))
    orders, _after = await fetch_purchases(work, limit=PAGE, cursor=None, status=None, contract_id=chosen.id)
    drawn, names = None, dict[str, str | None]()
    if asked.grant_id is not None:
        balance = next((each for each in balances if each.terms.id == asked.grant_id), None)
        if balance is None:
            raise errors.NotFound("grant", asked.grant_id)
        told = read_whole(asked.cursor or "")
        before = told if isinstance(told, int) and told <= LAST else None
        drawn = (balance, *await list_draws(work, asked.grant_id, limit=PAGE, before=before))
        names = {job.id: job.name for job in await load_jobs(work, {draw.job_id for draw in drawn[1]})}
    coverage = await read_coverage(work, chosen.id)
    return GrantsShown(make_grant_rows(balances, work.now), coverage, orders, drawn, names)


async def _read_bills(work: Work, chosen: ContractTerms | None, asked: Asked) -> BillsShown:
    assert chosen is not None
    query = billing.select_invoices(customer_id=work.actor.customer_id, contract_id=chosen.id)
    rows, after = await fetch_newest(work, query, limit=PAGE, cursor=asked.cursor)
    month = chosen.billing_month(work.now)
    if await has_many_lines(work, chosen.id, month, most=MOST_LINES):
        return BillsShown(rows, after, month, None, (await read_taken(work, chosen.id)).sum_asked(month))
    (upcoming,) = await list_upcoming(work, [chosen.id])
    return BillsShown(rows, after, month, upcoming, sum_lines(upcoming.lines))


async def _read_fapiao(work: Work, asked: Asked) -> FapiaoShown:
    customer_id = work.actor.customer_id or ""
    query = fapiao.select_fapiao(customer_id=customer_id)
    rows, after = await fetch_newest(work, query, limit=PAGE, cursor=asked.cursor)
    last = rows[0].title if rows else {}
    return FapiaoShown(await fapiao.read_invoiceable(work, customer_id), rows, after, last)


async def _read_contracts(
    work: Work, own: Sequence[ContractTerms], chosen: ContractTerms | None, asked: Asked
) -> ContractsShown:
    assert chosen is not None
    rows, _after = await fetch_newest(work, select_amendments(chosen.id), limit=PAGE)
    amendments = await read_amendments(work, rows)
    change = None if asked.plan is None else await _preview_change(work, chosen, asked.plan, asked.hours)
    return ContractsShown(own, amendments, change)


async def _preview_change(work: Work, chosen: ContractTerms, plan: PlanName, hours: int | None) -> PlanChange:
    """Preview another plan as finance would amend the contract now; nothing is written."""
    values: dict[str, Any] = {"plan": plan}
    if hours is not None:
        values["committed_gpu_hours"] = hours
    try:
        async with work.session.begin_nested():
            return PlanChange(plan.value, hours, await preview_amendment(work, NewAmendment(chosen.id, values)), None)
    except errors.DomainError as error:
        return PlanChange(plan.value, hours, None, error.detail)


async def _read_budgets(work: Work, chosen: ContractTerms | None) -> BudgetsShown:
    assert chosen is not None
    balance = await read_contract_balance(work, chosen.id)
    used = (await read_taken(work, chosen.id)).sum_asked(balance.month)
    events = select_contract_events(chosen.id, ContractEventKind.BUDGET_USED)
    alerts, _after = await fetch_newest(work, events, limit=MOST_ALERTS)
    try:
        top_up = await get_top_up(work, chosen.id)
    except errors.NotFound:
        top_up = None
    contacts, _more = await fetch_newest(work, select_contacts(work.actor.customer_id or ""), limit=PAGE)
    return BudgetsShown(chosen, balance, used, alerts, top_up, contacts)


async def _read_ledger(work: Work, own: Sequence[ContractTerms], asked: Asked) -> LedgerShown:
    statement = await read_statement(work, [each.id for each in own], page=asked.number)
    numbers = await billing.list_invoice_numbers(work, {line.reference for line in statement.lines if line.reference})
    return LedgerShown(statement, numbers, asked.number)


@router.post("/purchases")
async def order_grant(page: CustomerPage) -> Response:
    """Order hours or tokens through the API; its invoice is to be paid before they can be used."""
    form = await page.read_form()
    answer = await page.ask("POST", "/v1/purchases", form.given("contract_id", "gpu_hours", "tokens"), key=form.key)
    if answer.problem is not None:
        return await _refuse(page, "grants", form, answer.problem)
    return page.go_to(f"/console/billing/invoices/{answer.body['invoice_id']}")


@router.post("/purchases/{purchase_id}/cancel")
async def cancel_order(page: CustomerPage, purchase_id: str) -> Response:
    """Cancel an order that is not paid, through the API."""
    form = await page.read_form()
    answer = await page.ask("POST", f"/v1/purchases/{purchase_id}/cancel", key=form.key)
    if answer.problem is not None:
        return await _refuse(page, "grants", form, answer.problem)
    return page.go_to(f"/console/billing?tab=grants&contract_id={answer.body['contract_id']}")


@router.post("/fapiao")
async def request_fapiao(page: CustomerPage) -> Response:
    """Request a fapiao through the API; finance issues it."""
    form = await page.read_form()
    title = {name: form.get(f"title.{name}") for name in TITLE if form.get(f"title.{name}")}
    body = {**form.given("kind", "amount", "quantity"), "title": title}
    answer = await page.ask("POST", "/v1/fapiao", body, key=form.key)
    if answer.problem is not None:
        return await _refuse(page, "fapiao", form, answer.problem)
    return page.go_to("/console/billing?tab=fapiao")


TITLE = ("name", "tax_number", "address", "phone", "bank", "bank_account")


@router.post("/fapiao/{fapiao_id}/cancel")
async def cancel_fapiao(page: CustomerPage, fapiao_id: str) -> Response:
    """Cancel a request that was not issued, through the API."""
    form = await page.read_form()
    answer = await page.ask("POST", f"/v1/fapiao/{fapiao_id}/cancel", key=form.key)
    if answer.problem is not None:
        return await _refuse(page, "fapiao", form, answer.problem)
    return page.go_to("/console/billing?tab=fapiao")


@router.post("/top-up")
async def set_top_up(page: CustomerPage) -> Response:
    """Have hours ordered by themselves below a threshold, through the API."""
    form = await page.read_form()
    contract_id = form.get("contract_id")
    body = {name: read_whole(value) for name, value in form.given("threshold_gpu_hours", "purchase_gpu_hours").items()}
    answer = await page.ask("POST", f"/v1/contracts/{contract_id}/top-up", body, key=form.key)
    if answer.problem is not None:
        return await _refuse(page, "budgets", form, answer.problem)
    return page.go_to(f"/console/billing?tab=budgets&contract_id={contract_id}")


async def _refuse(page: Page, tab: Tab, form: Any, problem: Problem) -> HTMLResponse:
    contract_id = form.get("contract_id") or None
    return await show_tab(page, tab, contract_id, form=form.refused(problem), status=problem.status)


@router.get("/spend.csv")
async def download_spend(
    page: CustomerPage,
    contract_id: Annotated[str | None, Query(max_length=64)] = None,
    contract_ids: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """Download the spend of the last 30 days, day by day: of one contract on the days of its time zone, or of several
    that are named between commas, or of all.
    """
    work = await page.begin()
    own = await _list_contracts(work)
    named = set(filter(None, contract_ids.split(",")))
    chosen = None if contract_id is None else _choose(own, contract_id, work.now)
    zone = work.settings.time_zone if chosen is None else chosen.time_zone
    wanted = [each.id for each in own if not named or each.id in named] if chosen is None else [chosen.id]
    days = await read_spend(work, wanted, days=PACE_DAYS, time_zone=zone)
    rows = [
        {
            "day": each.day.isoformat(),
            "spend": each.total.format_amount(),
            "by_grants": each.by_grants.format_amount(),
            "currency": each.total.currency,
        }
        for each in days
    ]
    content = write_table(("day", "spend", "by_grants", "currency"), rows, names=())
    return Response(content, media_type=MEDIA_TYPE, headers={"Content-Disposition": 'attachment; filename="spend.csv"'})


@router.get("/fapiao/{fapiao_id}/file")
async def download_fapiao(
    page: CustomerPage, fapiao_id: str, kind: Annotated[Literal["pdf", "ofd", "xml"], Query(alias="format")] = "pdf"
) -> Response:
    """Download a file of an issued fapiao."""
    return await hand_over(page, f"/v1/fapiao/{fapiao_id}/file", {"format": kind}, f"{fapiao_id}.{kind}")


async def hand_over(page: Page, path: str, params: dict[str, str], name: str) -> Response:
    """Hand over a file as the API answers it. Raises: NotFound, where it refuses for whatever reason that says more."""
    answer = await page.ask("GET", path, params=params)
    if answer.problem is not None:
        return page.show("customer/refused.html", status=answer.status, problem=answer.problem)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(answer.content, media_type=answer.media_type, headers=headers)
