"""The customer's home: what it has, what needs it, what runs, and what it spent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from fastapi.responses import HTMLResponse

from broker.capacity.announcements import list_notices_for
from broker.clock import local_day
from broker.console.customer.account_view import (
    PACE_DAYS,
    Alert,
    SpendShown,
    compute_days_left,
    list_account_alerts,
    show_spend,
)
from broker.console.customer.job_words import describe_status
from broker.console.frame.page import Page
from broker.console.frame.panels import Panel, read_panel
from broker.contracts import service as contracts
from broker.identity import service as identity
from broker.jobs.reading.job_list import JobLine, list_active, list_needing
from broker.ledger.reading.account_overview import AccountOverview, read_account_overview
from broker.ledger.reading.spend import add_up_spend, read_spend_by_contract
from broker.work import Work

FAILED_SINCE = timedelta(days=7)
# Of more contracts than these the sums stand in the billing pages.
MOST_CONTRACTS = 5


@dataclass(frozen=True)
class AccountShown:
    """A contract's money on the home page."""

    overview: AccountOverview
    days_left: Decimal | None


@dataclass(frozen=True)
class Money30:
    """What there is to spend under each contract in force that is shown, and what was spent of late under these.

    `are_more`: there are more contracts than are shown; their sums stand in the billing pages.
    """

    accounts: Sequence[AccountShown]
    spend: SpendShown
    alerts: Sequence[Alert]
    are_more: bool

    @property
    def contract_ids(self) -> str:
        """Name the contracts as an address does."""
        return ",".join(each.overview.terms.id for each in self.accounts)


async def show_home(page: Page) -> HTMLResponse:
    """Show a customer what it has: the page that `/console/` is for customers (`broker/console/home.py`)."""
    work = await page.begin()
    customer_id = work.actor.customer_id or ""
    customer = await identity.get_customer(work, customer_id)
    money = await read_panel(page.request, work, lambda own: _read_money(own, customer_id))
    needing = await list_needing(work, customer_id, since=work.now - FAILED_SINCE)
    active = await list_active(work, customer_id)
    return page.show(
        "customer/home.html",
        customer=customer,
        money=money,
        needing=needing,
        active=_make_list(active, page),
        notices=await list_notices_for(work, None, None),
        describe=describe_status,
    )


def _make_list(lines: Sequence[JobLine], page: Page) -> Panel[Sequence[JobLine]]:
    return Panel.of(lines, page.now, shown=len(lines), is_filtered=False)


async def _read_money(work: Work, customer_id: str) -> Panel[Money30]:
    every = await contracts.list_in_force(work, customer_id)
    in_force = every[:MOST_CONTRACTS]
    zone = work.settings.time_zone
    days = await read_spend_by_contract(work, [terms.id for terms in in_force], days=PACE_DAYS, time_zone=zone)
    accounts, alerts = list[AccountShown](), list[Alert]()
    for terms in in_force:
        overview = await read_account_overview(work, terms.id)
        own = show_spend(days[terms.id], local_day(terms.starts_at, zone))
        shown = AccountShown(overview, compute_days_left(overview.available, own.a_day))
        accounts.append(shown)
        alerts += list_account_alerts(overview, shown.days_left)
    spend = show_spend(add_up_spend(list(days.values()), work.now, days=PACE_DAYS, time_zone=zone))
    return Panel.of(
        Money30(accounts, spend, alerts, len(every) > len(in_force)), work.now, shown=len(in_force), is_filtered=False
    )
