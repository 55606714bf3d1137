"""A customer as finance sees it: contracts and how they change, the balance as of a day, grants, invoices, fapiao."""

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.billing import service as billing
from broker.billing.listing import Invoice, sum_invoices
from broker.console.finance.commitments_view import GRANT_KINDS, PLANS
from broker.console.finance.customer_view import (
    CONTRACT_COLUMNS,
    FAPIAO_COLUMNS,
    FAPIAO_STATES,
    GRANT_COLUMNS,
    GRANT_STATES,
    TERMS,
    BalanceView,
    ChangePreview,
    choose_contract,
    find_moment,
    find_state,
    read_change,
    show_preview,
)
from broker.console.finance.invoices_view import KINDS, LIST_COLUMNS, STATUSES
from broker.console.finance.receivables_view import STATES as ARREARS
from broker.console.frame.days import DayAsked
from broker.console.frame.forms import Form
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.fapiao.service import read_invoiceable
from broker.http.paging import fetch_page
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.ledger.reading.balance import read_contract_balance
from broker.ledger.reading.history import read_contract_balance_at
from broker.reports.customers import fetch_customers, list_latest_fapiao
from broker.work import Work

CUSTOMERS_SHOWN, INVOICES_SHOWN, GRANTS_SHOWN, FAPIAO_SHOWN = 100, 10, 50, 20

router = page_router("/finance")


@dataclass(frozen=True)
class Changing:
    """A change of terms on its way: the form as it was sent, and its preview where the API has shown one."""

    form: Form
    preview: ChangePreview | None = None
    status: int = 200


@router.get("/customers")
async def list_customers(
    page: FinancePage, name: Annotated[str | None, Query(max_length=200)] = None, cursor: str | None = None
) -> HTMLResponse:
    """List the customers, newest first, all or those with this in their names."""
    work = await page.begin()
    rows, after = await fetch_customers(work, name=name, limit=CUSTOMERS_SHOWN, cursor=cursor)
    listed = Panel.of(rows, work.now, shown=len(rows), is_filtered=name is not None)
    return page.show("finance/customers.html", listed=listed, after=after, cursor=cursor, name=name)


@router.get("/customers/{customer_id}")
async def show_customer(
    page: FinancePage,
    customer_id: str,
    contract_id: str | None = None,
    as_of: DayAsked = None,
    done: str | None = None,
) -> HTMLResponse:
    """Show a customer, with the balance of one of its contracts now or as of a day."""
    work = await page.begin()
    return await _show(page, work, customer_id, contract_id=contract_id, as_of=as_of, done=done)


async def _show(
    page: Page,
    work: Work,
    customer_id: str,
    *,
    contract_id: str | None = None,
    as_of: date | None = None,
    done: str | None = None,
    changing: Changing | None = None,
) -> HTMLResponse:
    customer = await identity.get_customer(work, customer_id)
    rows = (await work.session.scalars(contracts.select_contracts(customer_id=customer_id))).all()
    terms = await contracts.load_terms(work, {row.id for row in rows})
    signed = sorted(terms.values(), key=lambda each: each.starts_at)
    chosen = choose_contract(signed, contract_id, work.now)
    read = partial(read_panel, page.request, work)
    change = changing or Changing(Form())
    return page.show(
        "finance/customer_account.html",
        status=change.status,
        customer=customer,
        signed=Panel.of(signed, work.now, shown=len(signed), is_filtered=False),
        chosen=chosen,
        balance=None if chosen is None else await read(partial(_read_balance, terms=chosen, day=as_of)),
        grants=await read(partial(_read_grants, customer_id=customer_id)),
        invoices=await read(partial(_read_invoices, customer_id=customer_id)),
        fapiao=await read(partial(_read_fapiao, customer_id=customer_id)),
        change=change,
        done=done,
        as_of=as_of,
        state_of=find_state,
        **WORDS,
    )


WORDS: dict[str, Any] = {
    "contract_columns": CONTRACT_COLUMNS,
    "grant_columns": GRANT_COLUMNS,
    "invoice_columns": LIST_COLUMNS,
    "fapiao_columns": FAPIAO_COLUMNS,
    "plans": PLANS,
    "arrears": ARREARS,
    "grant_kinds": GRANT_KINDS,
    "grant_states": GRANT_STATES,
    "fapiao_states": FAPIAO_STATES,
    "statuses": STATUSES,
    "kinds": KINDS,
    "terms": TERMS,
}


async def _read_balance(work: Work, *, terms: ContractTerms, day: date | None) -> Panel[BalanceView]:
    moment = find_moment(day, work.now, work.settings.time_zone)
    if moment == work.now:
        view = BalanceView(terms, await read_contract_balance(work, terms.id), moment, is_past=False)
        return Panel.ready(view, moment)
    view = BalanceView(terms, await read_contract_balance_at(work, terms.id, moment), moment, is_past=True)
    return Panel.ready(view, moment)


async def _read_grants(work: Work, *, customer_id: str) -> Panel[object]:
    found, _after = await contracts.fetch_grants(work, limit=GRANTS_SHOWN, cursor=None, customer_id=customer_id)
    balances = await ledger.read_grant_balances(work, found)
    return Panel.of(balances, work.now, shown=len(balances), is_filtered=False)


async def _read_invoices(work: Work, *, customer_id: str) -> Panel[object]:
    query = billing.select_invoices(customer_id=customer_id)
    rows, _after = await fetch_page(work.session, query, Invoice, limit=INVOICES_SHOWN, cursor=None)
    return Panel.of((rows, await sum_invoices(work, query)), work.now, shown=len(rows), is_filtered=False)


async def _read_fapiao(work: Work, *, customer_id: str) -> Panel[object]:
    rows = await list_latest_fapiao(work, customer_id, limit=FAPIAO_SHOWN)
    invoiceable = await read_invoiceable(work, customer_id)
    return Panel.of((rows, invoiceable), work.now, shown=len(rows), is_filtered=False)


@router.post("/customers/{customer_id}/contracts/{contract_id}/change")
async def change_contract(page: FinancePage, customer_id: str, contract_id: str) -> Response:
    """Show what a change of terms replaces and costs; sent again with the word of that preview, it is made."""
    form = await page.read_form()
    body, word = read_change(form, page.caller.services.settings.time_zone), form.get("preview")
    path = f"/v1/contracts/{contract_id}/amendments"
    if word:
        answer = await page.ask("POST", path, {**body, "preview": word}, key=form.key)
        if answer.problem is None:
            return page.go_to(f"/console/finance/customers/{customer_id}?contract_id={contract_id}&done=change")
    else:
        answer = await page.ask("POST", f"{path}/preview", body)
    work = await page.begin()
    if answer.problem is not None:
        changing = Changing(form.refused(answer.problem), None, answer.status)
    else:
        changing = Changing(Form(form.values), show_preview(answer.body))
    return await _show(page, work, customer_id, contract_id=contract_id, changing=changing)
