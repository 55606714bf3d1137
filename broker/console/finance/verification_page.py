"""Who customers are by law (实名): who waits for a decision, what was submitted, the decision. Looks are audited."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.console.finance.acts import Act, carry_out
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel
from broker.identity import service as identity

router = page_router("/finance")

SHOWN = 50
State = Literal["submitted", "verified", "rejected", "unverified"]
STATES: dict[State, str] = {
    "submitted": N_("to be decided"),
    "verified": N_("verified"),
    "rejected": N_("rejected"),
    "unverified": N_("not verified"),
}
# What can be decided of a customer in each state.
VERDICTS: dict[State, dict[str, str]] = {
    "submitted": {"verified": N_("it is who it says"), "rejected": N_("reject it")},
    "verified": {"unverified": N_("take the verification back")},
}
COLUMNS = (Column(N_("Customer")), Column(N_("Name by law")), Column(N_("State")), Column(N_("Verified")))


@router.get("/verifications")
async def list_verifications(
    page: FinancePage, state: State = "submitted", cursor: Annotated[str | None, Query(max_length=64)] = None
) -> HTMLResponse:
    """List the customers in a state of verification, newest first: at first those that wait for a decision."""
    work = await page.begin()
    query = identity.select_customers(verification=state)
    rows, after = await fetch_newest(work, query, limit=SHOWN, cursor=cursor)
    return page.show(
        "finance/verifications.html",
        listed=Panel.of(rows, work.now, shown=len(rows), is_filtered=state != "submitted" or cursor is not None),
        listing=Listing(len(rows), next_cursor=after, cursor=cursor),
        columns=COLUMNS,
        states=STATES,
        state=state,
    )


@router.get("/customers/{customer_id}/verification")
async def show_verification(page: FinancePage, customer_id: str, done: str | None = None) -> HTMLResponse:
    """Show what a customer submitted, its number too: the API notes who looks."""
    return await _show(page, customer_id, Form(), done=done)


async def _show(
    page: Page, customer_id: str, form: Form, *, done: str | None = None, status: int = 200
) -> HTMLResponse:
    told = await page.ask("GET", f"/v1/customers/{quote(customer_id, safe='')}/verification")
    if told.problem is not None:
        return page.show("frame/problem.html", status=told.status, problem=told.problem, retry=None)
    customer = await identity.get_customer(await page.begin(), customer_id)
    state: State = told.body["verification"]
    return page.show(
        "finance/verification.html",
        status=status,
        customer=customer,
        number=told.body["document_number"],
        state=STATES[state],
        verdicts=VERDICTS.get(state, {}),
        form=form,
        done=done,
    )


@router.post("/customers/{customer_id}/verification")
async def decide(page: FinancePage, customer_id: str) -> Response:
    """Decide on a verification through the API."""
    form = await page.read_form()
    path = f"/customers/{quote(customer_id, safe='')}/verification"
    answer = await carry_out(page, Act(f"{path}/decide", form.given("verdict", "note")), form)
    if answer.problem is None:
        return page.go_to(f"/console/finance{path}?done={quote(form.get('verdict'), safe='')}")
    return await _show(page, customer_id, form.refused(answer.problem), status=answer.status)
