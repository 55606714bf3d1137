"""Plan advice: what a customer's last months would have cost on each plan, and which to sign next."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse

from broker.console.finance.commitments_view import PLANS
from broker.console.finance.plan_advice_view import OPTION_COLUMNS, AdviceView, show_advice
from broker.console.frame.page import FinancePage, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.http.shapes import Whole
from broker.identity import service as identity
from broker.reports.plan_advice import advise_customer
from broker.work import Work
from pricing.plan_advice.costs import TERM_MONTHS

router = page_router("/finance")
CUSTOMERS_SHOWN = 200


@router.get("/plan-advice")
async def show(
    page: FinancePage,
    customer: Annotated[str | None, Query(max_length=200)] = None,
    months: Annotated[Whole, Query(ge=1, le=36)] = TERM_MONTHS,
) -> HTMLResponse:
    """Show the advice for a customer, named by its name or id; without one, whom to choose."""
    work = await page.begin()
    query = identity.select_customers().limit(CUSTOMERS_SHOWN)
    customers = {row.id: row.name for row in await work.session.scalars(query)}
    chosen = customer and next(iter(await identity.list_named(work, [customer])), customer)
    advice = None
    if chosen:

        async def read(work: Work) -> Panel[AdviceView]:
            view = show_advice(await advise_customer(work, chosen, most_months=months))
            return Panel.of(view, work.now, shown=len(view.lines), is_filtered=False)

        advice = await read_panel(page.request, work, read)
    return page.show(
        "finance/plan_advice.html",
        advice=advice,
        customers=customers,
        customer=customer,
        customer_id=chosen,
        months=months,
        columns=OPTION_COLUMNS,
        plans=PLANS,
    )
