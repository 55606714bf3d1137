"""Reconciliation: from usage to payments, link by link, what one side says beside what the other does."""

from fastapi.responses import HTMLResponse

from broker.console.frame.menu import N_
from broker.console.frame.page import FinancePage, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.console.naming import name_told
from broker.reports.reconciliation import Reconciled, find_last_reconciled, reconcile_books
from broker.work import Work

router = page_router("/finance")
DIFFERENCES_SHOWN = 20
# What links are called on the page, by their names in the report.
LINKS = {
    "usage events = captures": N_("What was metered = what was charged"),
    "captures that customers pay for = balances used": N_("What customers are charged for = balances used"),
    "captures that the house bears = balances borne": N_("What we bear = balances borne"),
    "captures that customers pay for = rate segments, less what later months take back": N_(
        "What customers are charged for = rate segments, less what later months take back"
    ),
    "invoice lines = invoice totals": N_("Lines of invoices = their totals"),
    "final invoices = what is booked as asked for": N_("Final invoices = what is booked as asked for"),
    "payments of invoices = money that came in for them, or the credit that paid them": N_(
        "What invoices were paid = money that came in for them, or credit"
    ),
}


@router.get("/reconciliation")
async def show(page: FinancePage, show: str | None = None) -> HTMLResponse:
    """Show what the last reconciliation found, and reconcile anew as its own panel."""
    work = await page.begin()
    last = await find_last_reconciled(work)
    if "links" not in (page.part, show):
        return page.show("finance/reconciliation.html", last=last, links=None, names=LINKS, contracts={})

    async def read(work: Work) -> Panel[list[Reconciled]]:
        found = await reconcile_books(work)
        return Panel.of(found, work.now, shown=sum(len(each.totals) for each in found), is_filtered=False)

    links = await read_panel(page.request, work, read)
    differing = [each.contract_id for link in links.view or () for each in link.differences[:DIFFERENCES_SHOWN]]
    contracts = await name_told(work, [each for each in differing if each is not None])
    return page.show("finance/reconciliation.html", last=last, links=links, names=LINKS, contracts=contracts)
