"""When a contract's end is near, and what follows it: the same terms again, right after. Pure."""

from datetime import datetime, timedelta

from broker.contracts.terms.model import ContractTerms, NewContract
from pricing.grants import compute_expiry

WARNING_DAYS = (1, 7, 30)
# A contract that renews itself is followed so long before its end that an advance can be paid in time.
RENEWED_BEFORE = timedelta(days=7)
MOST_MONTHS = 120


def find_warning(ends_at: datetime, now: datetime) -> int | None:
    """Find the narrowest warning that an end is near enough for, in days."""
    left = ends_at - now
    return next((days for days in WARNING_DAYS if left <= timedelta(days=days)), None)


def plan_successor(terms: ContractTerms) -> NewContract:
    """Plan the contract that follows one with an end: right after it, as long, on the terms that it ends with."""
    assert terms.ends_at is not None, "what is renewed has an end"
    last = terms.at(terms.ends_at)
    return NewContract(
        customer_id=terms.customer_id,
        plan=last.plan,
        committed_gpu_hours=last.committed_gpu_hours,
        starts_at=terms.ends_at,
        ends_at=compute_next_end(terms.starts_at, terms.ends_at, terms.time_zone),
        overage=last.overage,
        quote_guarantee=last.quote_guarantee,
        monthly_budget_micros=last.monthly_budget_micros,
        time_zone=last.time_zone,
        billing_day=last.billing_day,
        tax=last.tax,
        contract_number=last.contract_number,
        purchase_order=last.purchase_order,
        committed_tokens=last.committed_tokens,
        payment_days=last.payment_days,
        budget_hard_stop=last.budget_hard_stop,
        credit_limit_micros=last.credit_limit_micros,
        arrears=last.arrears,
        card_choice=last.card_choice,
        auto_renew=last.auto_renew,
        true_up=last.true_up,
        renewed_from_id=terms.id,
    )


def compute_next_end(starts_at: datetime, ends_at: datetime, time_zone: str) -> datetime:
    """Compute the end of another term of the same length: as many calendar months, or as much time where it is none."""
    for months in range(1, MOST_MONTHS + 1):
        end = compute_expiry(starts_at, time_zone, months)
        if end == ends_at:
            return compute_expiry(ends_at, time_zone, months)
        if end > ends_at:
            break
    return ends_at + (ends_at - starts_at)
