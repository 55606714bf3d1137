"""Invoices: the list, one of them down to its intervals and prices, and what finance does with it."""

from asyncio import to_thread
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import Select

from broker.billing import service as billing
from broker.billing.evidence import read_evidence, write_evidence
from broker.billing.listing import Invoice, sum_invoices
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.clock import local_day
from broker.console.finance.acts import carry_out, needs_second_person
from broker.console.finance.invoice_acts import plan_act
from broker.console.finance.invoices_view import (
    KINDS,
    LINE_COLUMNS,
    LINE_KINDS,
    LIST_COLUMNS,
    SEGMENT_COLUMNS,
    STATUSES,
    InvoiceList,
    InvoiceView,
    SegmentLines,
    list_acts,
    trace_chain,
    write_price,
)
from broker.console.finance.months import MonthAsked
from broker.console.frame.charts import place_bars
from broker.console.frame.forms import Form
from broker.console.frame.listing import Listing
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.contracts import service as contracts
from broker.http.paging import fetch_page
from broker.http.shapes import Whole
from broker.identity import service as identity
from broker.notices.reminders import list_reminders
from broker.reports.invoices.aftermath import read_aftermath
from broker.reports.invoices.days import read_days
from broker.reports.invoices.proof import CHARGES_SHOWN, read_line_proof
from broker.reports.invoices.segments import LinesAsked, list_segment_lines, list_segments
from broker.work import Work
from pricing.evidence.verify import Verdict, verify_evidence
from pricing.money import Money

SHOWN, LINES_SHOWN = 50, 50
WORDS: dict[str, Any] = {"statuses": STATUSES, "kinds": KINDS, "line_kinds": LINE_KINDS, "write_price": write_price}

router = page_router("/finance")


@dataclass(frozen=True)
class Filters:
    """What the list of invoices is narrowed to."""

    state: InvoiceStatus | None = None
    kind: InvoiceKind | None = None
    month: str | None = None
    customer: str | None = None
    number: str | None = None

    @property
    def are_set(self) -> bool:
        return any(value is not None for value in vars(self).values())


@router.get("/invoices")
async def list_invoices(
    page: FinancePage,
    state: InvoiceStatus | None = None,
    kind: InvoiceKind | None = None,
    month: MonthAsked = None,
    customer: Annotated[str | None, Query(max_length=200)] = None,
    number: Annotated[str | None, Query(max_length=60)] = None,
    cursor: str | None = None,
) -> HTMLResponse:
    """Show the invoices, newest first, with what all that match come to."""
    filters = Filters(state, kind, month, customer, number)
    work = await page.begin()
    listed = await read_panel(page.request, work, partial(_read_list, filters=filters, cursor=cursor))
    return page.show(
        "finance/invoices.html",
        filters_set=filters,
        listed=listed,
        columns=LIST_COLUMNS,
        **WORDS,
    )


async def _read_list(work: Work, *, filters: Filters, cursor: str | None) -> Panel[InvoiceList]:
    query = await _select(work, filters)
    sums = await sum_invoices(work, query)
    rows, after = (
        await fetch_page(work.session, query, Invoice, limit=SHOWN, cursor=cursor) if sums.count else ([], None)
    )
    names = await identity.list_names(work, {row.customer_id for row in rows})
    view = InvoiceList(rows, names, sums, Listing(len(rows), sums.count, after, cursor))
    return Panel.of(view, work.now, shown=len(rows), is_filtered=filters.are_set)


async def _select(work: Work, filters: Filters) -> Select[Invoice]:
    query = billing.select_invoices(status=filters.state, kind=filters.kind, month=filters.month, number=filters.number)
    if filters.customer is None:
        return query
    named = await identity.list_named(work, [filters.customer])
    return query.where(Invoice.customer_id.in_([*named, filters.customer]))


@router.get("/invoices/{invoice_id}")
async def show_invoice(
    page: FinancePage,
    invoice_id: str,
    segment: Annotated[Whole | None, Query(description="The first line of the segment that is open.")] = None,
    offset: Whole = 0,
    show: str | None = None,
    done: str | None = None,
) -> HTMLResponse:
    """Show an invoice: its segments and their lines, its days, what became of it, and what can be done with it."""
    work = await page.begin()
    invoice = await billing.get_invoice(work, invoice_id)
    if "days" in (page.part, show):
        return await _show_days(page, work, invoice)
    if "recomputed" in (page.part, show):
        return await _show_recomputed(page, work, invoice)
    return await _show(page, work, invoice, segment=segment, offset=offset, done=done)


async def _show(
    page: Page,
    work: Work,
    invoice: Invoice,
    *,
    segment: int | None = None,
    offset: int = 0,
    done: str | None = None,
    refused: dict[str, Form] | None = None,
    proposes: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    names = await identity.list_names(work, [invoice.customer_id])
    segments, aftermath = await list_segments(work, invoice.id), await read_aftermath(work, invoice.id)
    terms = await contracts.get_contract(work, invoice.contract_id)
    may, reminders = list_acts(invoice, local_day(work.now, terms.time_zone)), await list_reminders(work, invoice.id)
    view = InvoiceView(invoice, names[invoice.customer_id], segments, aftermath, may, reminders)
    chosen = next((each for each in segments if each.first == segment), None)
    lines = None
    if chosen is not None:
        asked = LinesAsked(invoice.id, chosen, LINES_SHOWN, offset)
        lines = SegmentLines(chosen, await list_segment_lines(work, asked), offset)
    return page.show(
        "finance/invoice.html",
        status=status,
        view=view,
        panel_of=Panel.ready(view, work.now),
        lines=lines,
        chain=trace_chain(invoice, aftermath),
        forms={name: Form() for name in view.may} | (refused or {}),
        proposes=proposes,
        done=done,
        segment_columns=SEGMENT_COLUMNS,
        line_columns=LINE_COLUMNS,
        blank=Form,
        **WORDS,
    )


async def _show_days(page: Page, work: Work, invoice: Invoice) -> HTMLResponse:
    async def read(work: Work) -> Panel[object]:
        if invoice.month is None:
            return Panel.of(None, work.now, shown=0, is_filtered=False)
        days = await read_days(work, await contracts.get_contract(work, invoice.contract_id), invoice.month)
        total = sum((each.cost for each in days), Money.zero())
        bars = place_bars(
            [(f"{each.day:%d}", each.cost.micros) for each in days],
            lambda micros: page.formats.money(Money(round(micros))),
        )
        return Panel.of((days, bars, total), work.now, shown=total.micros, is_filtered=False)

    days = await read_panel(page.request, work, read)
    return page.show("finance/invoice_days.html", invoice=invoice, days=days)


async def _show_recomputed(page: Page, work: Work, invoice: Invoice) -> HTMLResponse:
    async def read(work: Work) -> Panel[Verdict]:
        content = write_evidence(await read_evidence(work, invoice.id))
        verdict = await to_thread(verify_evidence, content, known_cards={})
        return Panel.ready(verdict, work.now)

    recomputed = await read_panel(page.request, work, read)
    return page.show("finance/invoice_recomputed.html", invoice=invoice, recomputed=recomputed)


@router.get("/invoices/{invoice_id}/lines/{position}")
async def show_line(page: FinancePage, invoice_id: str, position: Whole, offset: Whole = 0) -> HTMLResponse:
    """Show what a line rests on: charges, the intervals under each, and the price of the version that was in force."""
    work = await page.begin()
    invoice = await billing.get_invoice(work, invoice_id)
    proof = await read_line_proof(work, invoice, position, offset=offset)
    version = proof.line.rate_card_version
    return page.show(
        "finance/invoice_line.html",
        invoice=invoice,
        proof=Panel.of(proof, work.now, shown=max(1, proof.count), is_filtered=False),
        card=None if version is None else await contracts.get_rate_card(work, version),
        offset=offset,
        page_size=CHARGES_SHOWN,
        **WORDS,
    )


@router.post("/invoices/{invoice_id}/{name}")
async def act_on_invoice(page: FinancePage, invoice_id: str, name: str) -> Response:
    """Do something with an invoice: the API does it, or says at which field it refuses."""
    form = await page.read_form()
    act = plan_act(invoice_id, name, form)
    answer = await carry_out(page, act, form)
    if answer.problem is None:
        told = "proposed" if form.get("propose") else name
        return page.go_to(f"/console/finance/invoices/{invoice_id}?done={told}")
    work = await page.begin()
    invoice = await billing.get_invoice(work, invoice_id)
    return await _show(
        page,
        work,
        invoice,
        refused={name: form.refused(answer.problem)},
        proposes=name if needs_second_person(answer) else None,
        status=answer.status,
    )
