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
        **last.list_agreed()
        | {
            "starts_at": terms.ends_at,
            "ends_at": compute_next_end(terms.starts_at, terms.ends_at, terms.time_zone),
            "renewed_from_id": terms.id,
        }
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
