"""Payments: statements of the bank come in, what matched nothing is claimed, taken back, or sent back to its payer."""

from functools import partial
from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile

from broker.console.finance.acts import Act, carry_out, needs_second_person
from broker.console.finance.payments_view import (
    LAYOUTS,
    OUTCOMES,
    PAYMENT_COLUMNS,
    STATUSES,
    ImportView,
    PaymentsView,
    PaymentView,
    show_import,
)
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.listing import Listing
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.console.naming import name_contracts
from broker.http.paging import fetch_page
from broker.identity import service as identity
from broker.payments import service as payments
from broker.payments.listing import Payment, count_payments, list_allocations
from broker.payments.model import AllocationKind, PaymentStatus
from broker.reports.receipts import list_suggestions, name_invoices, sum_unmatched
from broker.work import Work

SHOWN = 50
ALL = "all"

router = page_router("/finance")


@router.get("/payments")
async def show_payments(
    page: FinancePage,
    state: Annotated[str | None, Query(pattern="^(open|all|unmatched|partly_matched|matched|returned)$")] = None,
    serial: Annotated[str | None, Query(max_length=100)] = None,
    cursor: str | None = None,
) -> HTMLResponse:
    """Show what has found no place, or payments of another state."""
    return await _show(page, await page.begin(), state=state, serial=serial, cursor=cursor)


async def _show(
    page: Page,
    work: Work,
    *,
    state: str | None = None,
    serial: str | None = None,
    cursor: str | None = None,
    form: Form | None = None,
    imported: ImportView | None = None,
    status: int = 200,
) -> HTMLResponse:
    read = partial(_read, state=state or "open", serial=serial, cursor=cursor)
    return page.show(
        "finance/payments.html",
        status=status,
        payments=await read_panel(page.request, work, read),
        imported=imported,
        form=form or Form(),
        state=state or "open",
        serial=serial,
        statuses=STATUSES,
        outcomes=OUTCOMES,
        columns=PAYMENT_COLUMNS,
        layouts=LAYOUTS,
    )


async def _read(work: Work, *, state: str, serial: str | None, cursor: str | None) -> Panel[PaymentsView]:
    if state == "open":
        query = payments.select_unmatched(serial=serial)
    else:
        query = payments.select_payments(status=None if state == ALL else PaymentStatus(state), serial=serial)
    rows, after = await fetch_page(work.session, query, Payment, limit=SHOWN, cursor=cursor)
    listing = Listing(len(rows), await count_payments(work, query), after, cursor)
    view = PaymentsView(rows, await sum_unmatched(work), listing)
    return Panel.of(view, work.now, shown=len(rows), is_filtered=serial is not None or state not in {ALL, "open"})


@router.post("/payments/import")
async def import_statement(page: FinancePage) -> Response:
    """Import a statement of the bank as a file, and tell what became of each line."""
    form = await page.read_form()
    file = (await page.request.form()).get("file")
    content, name = (await file.read(), file.filename or "statement.csv") if isinstance(file, UploadFile) else (b"", "")
    answer = await page.ask(
        "POST",
        "/v1/payments/statements",
        key=form.key,
        files={"file": (name or "statement.csv", content, "text/csv")},
        data=form.given("layout", "account"),
    )
    work = await page.begin()
    if answer.problem is not None:
        return await _show(page, work, form=form.refused(answer.problem), status=answer.status)
    return await _show(page, work, imported=show_import(answer.body))


@router.get("/payments/{payment_id}")
async def show_payment(page: FinancePage, payment_id: str, done: str | None = None) -> HTMLResponse:
    """Show a payment: where it went, and what the rest of it may be for."""
    return await _show_payment(page, await page.begin(), payment_id, done=done)


async def _show_payment(
    page: Page,
    work: Work,
    payment_id: str,
    *,
    refused: dict[str, Form] | None = None,
    proposes: str | None = None,
    status: int = 200,
    done: str | None = None,
) -> HTMLResponse:
    payment = await payments.get_payment(work, payment_id)
    allocations = await list_allocations(work, [payment_id])
    suggestions = await list_suggestions(work, payment) if payment.open_amount.micros else []
    numbers = await name_invoices(work, [each.invoice_id for each in allocations if each.invoice_id is not None])
    credited = [each.contract_id for each in allocations if each.kind == AllocationKind.CREDIT]
    numbers |= await name_contracts(work, credited) if credited else {}
    names = await identity.list_names(work, [payment.customer_id] if payment.customer_id else [])
    view = PaymentView(payment, names.get(payment.customer_id or ""), allocations, numbers, suggestions)
    return page.show(
        "finance/payment.html",
        status=status,
        view=view,
        forms={name: Form() for name in ("claim", "unclaim", "return")} | (refused or {}),
        blank=Form,
        proposes=proposes,
        done=done,
        statuses=STATUSES,
        outcomes=OUTCOMES,
    )


@router.post("/payments/{payment_id}/{name}")
async def act_on_payment(page: FinancePage, payment_id: str, name: str) -> Response:
    """Claim a payment, take a claim back, or send it back to its payer, through the API."""
    form = await page.read_form()
    answer = await carry_out(page, plan_act(payment_id, name, form), form)
    if answer.problem is None:
        return page.go_to(f"/console/finance/payments/{payment_id}?done={name}")
    return await _show_payment(
        page,
        await page.begin(),
        payment_id,
        refused={name: form.refused(answer.problem)},
        proposes=name if needs_second_person(answer) else None,
        status=answer.status,
    )


def plan_act(payment_id: str, name: str, form: Submitted) -> Act:
    """Plan what a form of a payment's page asks for. Pure."""
    path = f"/payments/{payment_id}/{name}"
    if name == "claim":
        target = form.get("allocations.0.invoice_id")
        kind = "contract_id" if target.startswith("con_") else "invoice_id"
        amount = {"amount": form.get("allocations.0.amount")} if form.get("allocations.0.amount") else {}
        return Act(path, {"allocations": [{kind: target, **amount}] if target else []})
    if name == "unclaim":
        chosen = [form.get("allocation_id")] if form.get("allocation_id") else []
        return Act(path, {"reason": form.get("reason"), "allocation_ids": chosen})
    payee = {part: form.get(f"payee.{part}") for part in ("name", "account", "bank") if form.get(f"payee.{part}")}
    body = {"reason": form.get("reason"), **form.given("amount"), **({"payee": payee} if payee else {})}
    return Act(path, body)
