"""When an amendment may take effect, and in which order with others. Pure."""

from collections.abc import Collection
from datetime import datetime, timedelta

from broker import errors
from broker.contracts.amendment.amendable import (
    BUDGET_TERMS,
    CALENDAR_TERMS,
    GUARANTEE,
    OF_A_MONTH,
    begins_month,
    find_dependent,
    name_fields,
)
from broker.contracts.amendment.new_amendment import NewAmendment, UnusedGrants
from broker.contracts.terms.calendar import MonthRule
from broker.contracts.terms.model import ContractTerms

SHORTEST_MONTH = timedelta(days=1)


def find_moment(terms: ContractTerms, new: NewAmendment, now: datetime, unrated_since: datetime | None) -> datetime:
    """Find when an amendment takes effect. Raises: InvalidRequest."""
    at_once = max(now, terms.starts_at)
    moment = at_once if new.effective_at is None else new.effective_at
    if moment < terms.starts_at:
        raise _refuse(f"is before the contract begins ({terms.starts_at.isoformat()})")
    if moment < now:
        _check_past(terms, new, moment, now, unrated_since)
    elif new.effective_at is not None and new.unused_grants == UnusedGrants.REFUND:
        raise errors.invalid_field("effective_at", "unused grants are refunded at once; leave it out")
    elif moment > now and new.unused_grants == UnusedGrants.REFUND:
        told = "must be carry before the contract begins; refund its grants by themselves"
        raise errors.invalid_field("unused_grants", told)
    if terms.ends_at is not None and moment >= terms.ends_at:
        raise _refuse(f"is not before the contract ends ({terms.ends_at.isoformat()})")
    _check_month(terms, new.values, moment, at_once)
    return moment


def _check_past(
    terms: ContractTerms, new: NewAmendment, moment: datetime, now: datetime, unrated_since: datetime | None
) -> None:
    """Let an amendment reach back as far as nothing was rated, within the month under way. Raises: InvalidRequest."""
    month_began = terms.month_start(terms.billing_month(now))
    first = now if unrated_since is None else max(unrated_since, month_began)
    if moment < first:
        cure = "choose a moment from then on, and correct what was charged before: POST /v1/credit-notes or adjustments"
        told = f"has passed, and what was rated before an amendment stays as it was ({first.isoformat()})"
        raise _refuse(f"{told}; {cure}")
    if (OF_A_MONTH | BUDGET_TERMS | {GUARANTEE}) & new.values.keys() or new.unused_grants != UnusedGrants.CARRY:
        told = "budgets, months, tax, guarantees and the end of grants change from now on"
        raise _refuse(f"has passed ({now.isoformat()}); {told}")


def _check_month(terms: ContractTerms, names: Collection[str], moment: datetime, at_once: datetime) -> None:
    """Check that what is of a whole month changes where one begins. Raises: InvalidRequest."""
    if begins_month(terms, moment):
        return
    following = terms.month_end(terms.billing_month(moment)).isoformat()
    bound = OF_A_MONTH & set(names)
    if bound:
        raise _refuse(
            f"is within a billing month, and {name_fields(bound)} changes where one begins, the next ({following})"
        )
    if BUDGET_TERMS & set(names) and moment > at_once:
        raise _refuse(f"is within a billing month; a budget changes at once or when one begins, the next ({following})")


def check_order(terms: ContractTerms, names: Collection[str], after: ContractTerms, moment: datetime) -> None:
    """Check that what is planned for later stays as it was shown, and that no month is lost. Raises: InvalidRequest."""
    later = [change for change in terms.changes[1:] if change.effective_at > moment]
    if later and after.ends_at is not None and later[-1].effective_at >= after.ends_at:
        cure = "withdraw that first, or choose a later end"
        raise errors.invalid_field("ends_at", f"is not after {_name(later[-1].amendment_id)} takes effect; {cure}")
    dependent = find_dependent(later, names)
    if dependent is not None:
        what = f"is before {_name(dependent.amendment_id)} that changes {name_fields(dependent.names)}"
        raise _refuse(f"{what}; withdraw it first ({dependent.effective_at.isoformat()})")
    if CALENDAR_TERMS & set(names):
        _check_cut_month(terms, after, moment)


def _check_cut_month(terms: ContractTerms, after: ContractTerms, moment: datetime) -> None:
    calendar = terms.calendar.with_rule(MonthRule(after.time_zone, after.billing_day), moment)
    end = calendar.end(calendar.find_month(moment))
    if end < moment + SHORTEST_MONTH:
        told = f"the month that begins then would end at {end.isoformat()}, less than a day long; choose the next month"
        raise errors.invalid_field("effective_at", told)


def _name(amendment_id: str | None) -> str:
    return "the amendment" if amendment_id is None else f"amendment {amendment_id}"


def _refuse(what: str) -> errors.InvalidRequest:
    return errors.invalid_field("effective_at", what)
