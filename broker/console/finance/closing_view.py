"""What the page of closing a month shows: its list, how far it is, and what came of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from broker.billing.closing.model import Finding
from broker.console.frame.menu import N_
from broker.console.naming import write_names

CHECKS = {
    "drafts": N_("Invoices that are not final: closing makes them so"),
    "usage_quarantine": N_("Usage in quarantine that nobody has decided about"),
    "unmatched_receipts": N_("Receipts that are matched to no customer"),
    "compensations": N_("Compensations for lost work on their way"),
    "overpaid_invoices": N_("Invoices paid or credited beyond their totals"),
    "books": N_("Rows of the books that break a rule"),
    "reconciliation": N_("Differences from usage to payments"),
    "stripe": N_("Differences between our books and Stripe"),
    "fapiao_debts": N_("Customers whose fapiao say more than they consumed"),
    "approvals": N_("Proposals that wait for another person"),
}
LEADS = {
    "drafts": "/console/finance/invoices?state=draft",
    "unmatched_receipts": "/console/finance/payments",
    "reconciliation": "/console/finance/reconciliation",
    "approvals": "/console/finance/today#approvals",
}
REFUSED_SHOWN = 20
STATUSES = {
    "open": N_("open"),
    "running": N_("is being closed"),
    "incomplete": N_("incomplete: start it again"),
    "closed": N_("closed"),
}


@dataclass(frozen=True)
class ClosingView:
    """How far the closing of a month is; `refused` is what could not be made final, each with why."""

    month: str
    status: str
    total: int
    done: int
    finalized: int
    refused: Sequence[Mapping[str, Any]]
    accepted: Sequence[str]
    closed_by: str | None
    begun_at: datetime | None
    ended_at: datetime | None

    @property
    def share(self) -> Fraction | None:
        return Fraction(self.done, self.total) if self.total else None


def show_closing(month: str, closing: Any, closed_by: str | None) -> ClosingView:
    """Lay out the last closing of a month, or that there is none, with who has closed it."""
    if closing is None:
        status = "open" if closed_by is None else "closed"
        return ClosingView(month, status, 0, 0, 0, (), (), closed_by, None, None)
    return ClosingView(
        month=month,
        status="closed" if closed_by is not None else closing.status,
        total=closing.contracts_total,
        done=closing.contracts_done,
        finalized=closing.invoices_finalized,
        refused=closing.refused,
        accepted=closing.accepted,
        closed_by=closed_by,
        begun_at=closing.created_at,
        ended_at=closing.ended_at,
    )


def list_refused_ids(view: ClosingView) -> list[str]:
    """List the contracts of those that could not be made final and are shown."""
    return [each["contract_id"] for each in view.refused[:REFUSED_SHOWN] if each["contract_id"]]


def name_refused(view: ClosingView, names: Mapping[str, str]) -> ClosingView:
    """Name what could not be made final by its contract's customer and number."""
    refused = [{**each, "name": names.get(each["contract_id"] or "", each["contract_id"])} for each in view.refused]
    return replace(view, refused=refused)


@dataclass(frozen=True)
class CheckLine:
    """A point of the list: what it is about, where it is seen to, and whether it keeps the month open.

    `examples` are the first of the open things, by the names that people know.
    """

    finding: Finding
    title: str
    href: str | None
    examples: Sequence[str] = ()

    @property
    def says_more(self) -> bool:
        """Tell whether the finding says more than that there is nothing: of what is not checked by itself it does."""
        return self.finding.open > 0 or self.finding.name in {"books", "stripe"}

    @property
    def is_in_the_way(self) -> bool:
        return self.finding.blocks and self.finding.open > 0


def list_checks(findings: Sequence[Finding], names: Mapping[str, str]) -> list[CheckLine]:
    """List the points, what is in the way first, then hints, then what is done; `names` are those of ids."""
    lines = [
        CheckLine(
            each,
            CHECKS.get(each.name, each.name),
            LEADS.get(each.name),
            [write_names(example, names) for example in each.examples],
        )
        for each in findings
    ]
    return sorted(lines, key=lambda line: (not line.is_in_the_way, not line.finding.open))
