"""How a row of `contracts` is read as the terms that it holds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from broker.contracts.tables import Contract
from broker.contracts.terms.agreed import ArrearsTerms, Finalizing, GuaranteedGpus, TrueUpRule
from broker.contracts.terms.arrears import ArrearsState
from broker.contracts.terms.changes import TermsChange, read_changes
from broker.contracts.terms.model import CardChoice, ContractTerms, Overage, QuoteGuarantee
from pricing.money import Money
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.tax import Tax, TaxMode


def _read_arrears(parts: Mapping[str, int]) -> ArrearsTerms:
    return ArrearsTerms(**parts)


def _read_tax(parts: Mapping[str, str]) -> Tax:
    return Tax(TaxMode(parts["mode"]), Decimal(parts["rate"]))


def _read_guaranteed(written: Iterable[Mapping[str, Any]]) -> tuple[GuaranteedGpus, ...]:
    return tuple(GuaranteedGpus(**each) for each in written)


def _read_finalizing(written: str | None) -> Finalizing | None:
    return None if written is None else Finalizing(written)


READERS: Mapping[str, Callable[[Any], Any]] = {
    "plan": PlanName,
    "overage": Overage,
    "quote_guarantee": QuoteGuarantee,
    "card_choice": CardChoice,
    "arrears": _read_arrears,
    "tax": _read_tax,
    "true_up": TrueUpRule,
    "finalizes": _read_finalizing,
    "guaranteed_gpus": _read_guaranteed,
}
CHANGING = (
    "plan",
    "committed_gpu_hours",
    "overage",
    "monthly_budget_micros",
    "budget_hard_stop",
    "purchase_order",
    "payment_days",
    "draft_working_days",
    "finalizes",
    "credit_limit_micros",
    "quote_guarantee",
    "contract_number",
    "time_zone",
    "billing_day",
    "tax",
    "arrears",
    "auto_renew",
    "card_choice",
    "pinned_version",
    "true_up",
    "guaranteed_gpus",
)


def to_terms(row: Contract, cards: tuple[RateCard, ...], now: datetime) -> ContractTerms:
    """Make the terms as they are now, with their changes."""
    signed = _read_signed(row, cards)
    if not row.changes:
        return signed
    as_signed = TermsChange(row.starts_at, {name: getattr(signed, name) for name in CHANGING})
    changes = read_changes(row.changes, READERS, as_signed)
    return replace(replace(signed, changes=changes).at(now), changes=changes)


def _read_signed(row: Contract, cards: tuple[RateCard, ...]) -> ContractTerms:
    return ContractTerms(
        id=row.id,
        customer_id=row.customer_id,
        plan=PlanName(row.plan),
        committed_gpu_hours=row.committed_gpu_hours,
        overage=Overage(row.overage),
        quote_guarantee=QuoteGuarantee(row.quote_guarantee),
        monthly_budget_micros=row.monthly_budget_micros,
        time_zone=row.time_zone,
        billing_day=row.billing_day,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        contract_number=row.contract_number,
        purchase_order=row.purchase_order,
        committed_tokens=row.committed_tokens,
        payment_days=row.payment_days,
        draft_working_days=row.draft_working_days,
        finalizes=_read_finalizing(row.finalizes),
        tax=Tax(TaxMode(row.tax_mode), row.tax_rate or Decimal(0)),
        budget_hard_stop=row.budget_hard_stop,
        credit_limit_micros=row.credit_limit_micros,
        arrears=ArrearsTerms(row.arrears_grace_days, row.arrears_suspended_days, row.arrears_retention_days),
        auto_renew=row.auto_renew,
        true_up=TrueUpRule(row.true_up),
        guaranteed_gpus=_read_guaranteed(row.guaranteed_gpus),
        renewed_from_id=row.renewed_from_id,
        cancelled_at=row.cancelled_at,
        arrears_state=ArrearsState(row.arrears_state),
        arrears_owed=Money(row.arrears_owed_micros),
        cards=cards,
        card_choice=CardChoice(row.card_choice),
    )
