"""What a customer's page shows finance: contracts, the balance of one of them as of a day, grants, invoices. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from broker.clock import local_day
from broker.console.finance.grant_view import begin_day
from broker.console.frame.forms import Submitted, read_whole
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.contracts.terms.model import ContractTerms
from broker.ledger.service import Balance
from pricing.money import Money

CONTRACT_COLUMNS = (
    Column(N_("Contract number")),
    Column(N_("Plan")),
    Column(N_("Begins")),
    Column(N_("Ends")),
    Column(N_("Committed, h"), is_number=True),
    Column(N_("Monthly budget"), is_number=True),
    Column(N_("State")),
)
GRANT_COLUMNS = (
    Column(N_("Grant")),
    Column(N_("Kind")),
    Column(N_("State")),
    Column(N_("Ends")),
    Column(N_("Quantity"), is_number=True),
    Column(N_("Used"), is_number=True),
    Column(N_("Pending"), is_number=True),
    Column(N_("Left"), is_number=True),
    Column(N_("Days left at this pace"), is_number=True),
)
FAPIAO_COLUMNS = (
    Column(N_("Number")),
    Column(N_("State")),
    Column(N_("Day")),
    Column(N_("Amount"), is_number=True),
)
GRANT_STATES = {
    "pending": N_("to be paid"),
    "active": N_("in force"),
    "expired": N_("over"),
    "void": N_("void"),
    "cancelled": N_("cancelled"),
}
FAPIAO_STATES = {"requested": N_("requested"), "issued": N_("issued"), "cancelled": N_("cancelled")}
TERMS = {
    "plan": N_("Plan"),
    "committed_gpu_hours": N_("Committed GPU-hours"),
    "ends_at": N_("Ends"),
    "monthly_budget": N_("Monthly budget"),
    "overage": N_("Overage"),
    "payment_days": N_("Days to pay"),
    "credit_limit": N_("Credit limit"),
    "contract_number": N_("Contract number"),
    "purchase_order": N_("Purchase order"),
}
# What the form of a change sends where it is filled in; numbers are numbers to the API.
CHANGED = ("plan", "ends_at", "monthly_budget", "overage", "effective_at", "unused_grants", "reason")
WHOLE = ("committed_gpu_hours", "payment_days")


@dataclass(frozen=True)
class BalanceView:
    """What is left of a contract at a moment: what is settled beside what is pending."""

    terms: ContractTerms
    balance: Balance
    as_of: datetime
    is_past: bool


@dataclass(frozen=True)
class ChangePreview:
    """What a change of terms replaces and costs, as the API showed it, with the word that confirms just this."""

    effective_at: datetime
    changes: Sequence[Mapping[str, Any]]
    added_gpu_hours: str
    amount: Money
    refund: Money
    commitment_gpu_hours: str
    due_now: bool
    word: str


def find_moment(day: date | None, now: datetime, time_zone: str) -> datetime:
    """Find the moment of a balance: the end of a day in the time zone of the house, or now."""
    if day is None:
        return now
    if day >= local_day(now, time_zone):
        return now
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone)) - timedelta(microseconds=1)


def find_state(terms: ContractTerms, now: datetime) -> str:
    """Find how a contract stands: to come, in force, over, cancelled."""
    if terms.cancelled_at is not None:
        return N_("cancelled")
    if terms.starts_at > now:
        return N_("to come")
    return N_("over") if terms.ends_before(now) else N_("in force")


def choose_contract(signed: Sequence[ContractTerms], asked: str | None, now: datetime) -> ContractTerms | None:
    """Choose the contract whose balance is shown: the one that is asked for, the last in force, or the last."""
    named = next((each for each in signed if each.id == asked), None)
    in_force = [each for each in signed if each.covers(now)]
    if named is not None or not signed:
        return named
    return (in_force or signed)[-1]


def read_change(form: Submitted, time_zone: str) -> dict[str, Any]:
    """Read what a form wants changed: what is filled in; a day begins in the time zone of the house, as on pages."""
    body: dict[str, Any] = dict(form.given(*CHANGED))
    for name in WHOLE:
        if form.get(name):
            body[name] = read_whole(form.get(name))
    for name in ("ends_at", "effective_at"):
        if name in body and "T" not in body[name]:
            body[name] = begin_day(body[name], time_zone)
    return body


def show_preview(told: Mapping[str, Any]) -> ChangePreview:
    """Lay out the preview of a change."""
    return ChangePreview(
        effective_at=datetime.fromisoformat(told["effective_at"]),
        changes=told["changes"],
        added_gpu_hours=told["added_gpu_hours"],
        amount=Money.from_decimal(told["amount"]["amount"]),
        refund=Money.from_decimal(told["refund"]["amount"]),
        commitment_gpu_hours=told["commitment_gpu_hours"],
        due_now=told["due_now"],
        word=told["preview"],
    )
