"""Which terms of a contract are amended, from when on each may be, and which of them depend on each other. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from typing import Any

from broker.contracts.terms.agreed import ArrearsTerms, GuaranteedGpus
from broker.contracts.terms.changes import TermsChange
from broker.contracts.terms.model import ContractTerms
from pricing.money import Money
from pricing.tax import Tax, TaxMode

# The end is of the contract as a whole: it is known from the confirmation on, and stands in no change of a moment.
OF_THE_WHOLE = "ends_at"
# Grants that are to expire as an amendment takes effect have a new end from the confirmation on, too: so it is with the
# ends of contracts, which move those of grants.
GRANT_ENDS = "unused_grants"
VOLUME_TERMS = frozenset({"plan", "committed_gpu_hours", "overage", "true_up", OF_THE_WHOLE})
BUDGET_TERMS = frozenset({"monthly_budget_micros", "budget_hard_stop"})
CALENDAR_TERMS = frozenset({"time_zone", "billing_day"})
CARD_TERMS = frozenset({"card_choice", "pinned_version"})
# They serve the queue that the plan gives, and are charged for whether they are used or not: never for the past.
GUARANTEE = "guaranteed_gpus"
# One invoice has one rule: these change where a billing month begins. A budget changes at once, too.
OF_A_MONTH = CALENDAR_TERMS | {"tax"}
# What is planned later stays as it was shown only where nothing of the same group is changed before it.
TOGETHER = (
    VOLUME_TERMS,
    CARD_TERMS,
    CALENDAR_TERMS | BUDGET_TERMS,
    CALENDAR_TERMS | {"tax"},
    frozenset({"plan", GUARANTEE}),
    frozenset({OF_THE_WHOLE, GRANT_ENDS}),
)
# Terms in micro-yuan and others, and what the API calls them.
NAMES = {
    "monthly_budget_micros": "monthly_budget",
    "credit_limit_micros": "credit_limit",
    "card_choice": "rate_card",
    "pinned_version": "rate_card_version",
}
IN_MICROS = frozenset({"monthly_budget_micros", "credit_limit_micros"})


def depend_on_each_other(some: Collection[str], others: Collection[str]) -> bool:
    """Tell whether terms that are changed bear on others that are."""
    mine, theirs = set(some), set(others)
    return bool(mine & theirs) or any(group & mine and group & theirs for group in TOGETHER)


def find_dependent(changes: Sequence[TermsChange], names: Collection[str]) -> TermsChange | None:
    """Find the first of some changes that bears on terms of these names."""
    return next((change for change in changes if depend_on_each_other(names, change.names)), None)


def begins_month(terms: ContractTerms, moment: datetime) -> bool:
    """Tell whether a billing month of the contract begins at a moment; its own beginning counts as one."""
    return moment == terms.starts_at or moment == terms.month_start(terms.billing_month(moment))


def show_term(name: str, before: Any, after: Any) -> list[dict[str, Any]]:
    """Write how a term changes as JSON, by the names that the API has for it and for its parts; money in yuan."""
    if isinstance(after, Tax):
        shown = [("tax_mode", before.mode, after.mode), ("tax_rate", _show_rate(before), _show_rate(after))]
    elif isinstance(after, ArrearsTerms):
        parts = asdict(after)
        shown = [(f"arrears.{part}", getattr(before, part), value) for part, value in parts.items()]
    else:
        shown = [(NAMES.get(name, name), _show(name, before), _show(name, after))]
    return [{"field": field, "before": _plain(old), "after": _plain(new)} for field, old, new in shown if old != new]


def _show(name: str, value: Any) -> Any:
    if name == GUARANTEE:
        return [_show_guaranteed(each) for each in value]
    return Money(value).format_amount() if value is not None and name in IN_MICROS else value


def _show_guaranteed(each: GuaranteedGpus) -> dict[str, Any]:
    price = Money(each.price_micros).format_amount()
    return {"gpu_type": each.gpu_type, "gpus": each.gpus, "monthly_price": price}


def _show_rate(tax: Tax) -> str | None:
    return None if tax.mode == TaxMode.NONE else format(tax.rate.normalize(), "f")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def name_fields(names: Collection[str]) -> str:
    """Name terms as the API does, for a message."""
    return ", ".join(sorted(NAMES.get(name, name) for name in names))
