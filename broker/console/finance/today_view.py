"""What finance's home shows: what needs somebody, most pressing first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.console.finance.closing_view import ClosingView
from broker.console.frame.menu import N_
from broker.reports.finance_needs import FinanceNeeds
from broker.reports.reconciliation import LastReconciled
from pricing.money import Money

ACTS = {
    "adjustment": N_("Adjustment"),
    "credit_note": N_("Credit note"),
    "grant": N_("Grant"),
    "grant_refund": N_("Refund of a grant"),
    "refund": N_("Refund"),
    "void": N_("Void invoice"),
    "grant_void": N_("Void grant"),
}


@dataclass(frozen=True)
class Need:
    """One thing that needs somebody: how many there are, what they come to (None: no money), and where it is done."""

    name: str
    count: int
    amount: Money | None
    href: str
    is_pressing: bool = False


@dataclass(frozen=True)
class TodayView:
    """What needs finance; without any need, all is done."""

    needs_read: FinanceNeeds
    closing: ClosingView
    needs: Sequence[Need]


def list_needs(needs: FinanceNeeds, closing: ClosingView, last: LastReconciled | None) -> list[Need]:
    """List what there is any of, what is pressing first."""
    differences = 0 if last is None else last.differences
    found = [
        Need(N_("differences from usage to payments"), differences, None, "/console/finance/reconciliation", True),
        Need(
            N_("invoices are overdue"),
            needs.overdue.count,
            needs.overdue.amount,
            "/console/finance/receivables",
            True,
        ),
        Need(
            N_("receipts are matched to nobody"),
            needs.unmatched.count,
            needs.unmatched.unmatched,
            "/console/finance/payments",
            True,
        ),
        Need(
            N_("months that are over are not closed"),
            len(needs.open_months) if closing.status != "running" else 0,
            None,
            f"/console/finance/closing?month={needs.open_months[0] if needs.open_months else closing.month}",
        ),
        Need(N_("proposals wait for another person"), needs.proposals_count, None, "#approvals"),
        Need(N_("disputes stand"), needs.disputes_count, None, "#disputes"),
        Need(
            N_("invoices are drafts"),
            needs.drafts.count,
            needs.drafts.amount,
            "/console/finance/invoices?state=draft",
        ),
        Need(
            N_("refunds are to be sent"),
            needs.refunds.count,
            needs.refunds.amount,
            "/console/finance/refunds",
        ),
        Need(N_("fapiao are to be issued"), needs.fapiao.count, needs.fapiao.amount, "/console/finance/fapiao"),
        Need(N_("customers wait to be verified"), needs.verifications_count, None, "/console/finance/verifications"),
    ]
    return sorted((each for each in found if each.count), key=lambda each: not each.is_pressing)
