"""What an amendment does to a contract: whether it may, what it replaces, and how many hours it adds. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from fractions import Fraction
from typing import Any

from broker import errors
from broker.contracts.agreed import ContractStatus
from broker.contracts.changes import TermsChange
from broker.contracts.model import DEFAULT_OVERAGE, ContractTerms, Overage
from pricing.grants import compute_expiry
from pricing.money import Money, round_to_fen
from pricing.plans import CommitmentNotAllowed, CommitmentTooSmall, PlanName, check_commitment
from pricing.rating import price_usage
from pricing.usage import Unit

BUDGET_TERMS = frozenset({"monthly_budget_micros", "budget_hard_stop"})
# These are of the contract as a whole and change at once; the others hold from a moment on.
AT_ONCE = ("ends_at", "contract_number")
SECONDS_PER_HOUR = 3600
# Terms in micro-yuan, and what the API calls them, in yuan.
NAMES = {"monthly_budget_micros": "monthly_budget", "credit_limit_micros": "credit_limit"}
MICROSECOND = timedelta(microseconds=1)


class UnusedGrants(StrEnum):
    """What becomes of the unused part of bought grants: it stays usable, is paid back, or ends as the change begins."""

    CARRY = "carry"
    REFUND = "refund"
    EXPIRE = "expire"


@dataclass(frozen=True)
class NewAmendment:
    """What is to be changed, by the names that `ContractTerms` has. `effective_at` None: at once.

    What is changed at once is prorated from the moment `shown_at` which its preview showed, and not a minute later.
    """

    contract_id: str
    values: Mapping[str, Any]
    effective_at: datetime | None = None
    unused_grants: UnusedGrants = UnusedGrants.CARRY
    reason: str | None = None
    shown_at: datetime | None = None

    def find_basis(self, effective_at: datetime) -> datetime:
        """Find the moment from which its hours and its term are counted."""
        return effective_at if self.effective_at is not None or self.shown_at is None else self.shown_at


@dataclass(frozen=True)
class Replaced:
    """One term, as it was and as it will be."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class PlannedAmendment:
    """An amendment as it would be confirmed. Units: GPU-seconds; `amount` is the price of the added hours, in fen."""

    terms: ContractTerms
    effective_at: datetime
    replaced: tuple[Replaced, ...]
    added_gpu_seconds: int
    amount: Money
    unused_grants: UnusedGrants
    amended: ContractTerms = field(repr=False)

    @property
    def values(self) -> dict[str, Any]:
        return {each.name: each.after for each in self.replaced}

    @property
    def change(self) -> TermsChange:
        """Tell what holds from a moment on, without what changes for the contract as a whole."""
        return TermsChange(self.effective_at, {k: v for k, v in self.values.items() if k not in AT_ONCE})

    def changes(self, name: str) -> bool:
        return name in self.values

    def describe_changes(self) -> list[dict[str, Any]]:
        """Write what is replaced as JSON, by the names that the API has; money in yuan."""
        return [
            {
                "field": NAMES.get(each.name, each.name),
                "before": _show(each.name, each.before),
                "after": _show(each.name, each.after),
            }
            for each in self.replaced
        ]


def _show(name: str, value: Any) -> Any:
    if value is not None and name in NAMES:
        return Money(value).format_amount()
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


@dataclass(frozen=True)
class Amendment:
    """An amendment as it was confirmed. Units: GPU-seconds; `changes` are JSON, as its preview showed them."""

    id: str
    customer_id: str
    contract_id: str
    effective_at: datetime
    changes: list[dict[str, Any]]
    added_gpu_seconds: int
    amount: Money
    unused_grants: UnusedGrants
    grant_id: str | None
    invoice_id: str | None
    reason: str | None
    created_at: datetime


def plan_amendment(terms: ContractTerms, new: NewAmendment, now: datetime) -> PlannedAmendment:
    """Plan an amendment, or refuse it. Raises: IllegalTransition, InvalidRequest, CommitmentRefused."""
    status = terms.status_at(now)
    if status in {ContractStatus.ENDED, ContractStatus.CANCELLED}:
        raise errors.IllegalTransition(f"Contract {terms.id} is {status}; sign another one.", status_before=status)
    effective_at = _find_moment(terms, new, now)
    before = terms.at(effective_at)
    basis = max(new.find_basis(effective_at), terms.starts_at)
    values = complete_values(before, dict(new.values), basis)
    replaced = tuple(
        Replaced(name, getattr(before, name), value) for name, value in values.items() if getattr(before, name) != value
    )
    if not replaced:
        raise errors.InvalidRequest("The amendment changes nothing.")
    after = replace(before, **values)
    _check_terms(before, after, effective_at)
    added = count_added_seconds(terms, before, after, basis)
    price = after.prices_at(effective_at).per_gpu_hour
    amount = round_to_fen(price_usage(Unit.GPU_SECONDS, added, price))
    return PlannedAmendment(terms, effective_at, replaced, added, amount, new.unused_grants, after)


def _find_moment(terms: ContractTerms, new: NewAmendment, now: datetime) -> datetime:
    """Find when an amendment takes effect. Raises: InvalidRequest."""
    at_once, moment = max(now, terms.starts_at), new.effective_at
    if moment is None:
        moment = at_once
    elif moment < terms.starts_at:
        raise _refuse("is before the contract begins", terms.starts_at)
    elif moment < now:
        raise _refuse("has passed, and what was rated before an amendment stays as it was; choose a moment after", now)
    elif new.unused_grants == UnusedGrants.REFUND:
        raise errors.invalid_field("effective_at", "unused grants are refunded at once; leave it out")
    elif any(name in new.values for name in AT_ONCE):
        raise errors.invalid_field("effective_at", "ends_at and contract_number change at once; leave it out for them")
    elif terms.ends_at is not None and moment >= terms.ends_at:
        raise _refuse("is not before the contract ends", terms.ends_at)
    latest = terms.changes[-1].effective_at if terms.changes else terms.starts_at
    if moment < latest:
        raise _refuse("is before the amendment that takes effect", latest)
    budget = BUDGET_TERMS & new.values.keys()
    if budget and moment > at_once and moment != terms.month_start(terms.billing_month(moment)):
        following = terms.month_end(terms.billing_month(moment))
        raise _refuse("is within a billing month; a budget changes at once or when one begins, the next", following)
    return moment


def _refuse(what: str, moment: datetime) -> errors.InvalidRequest:
    return errors.invalid_field("effective_at", f"{what} ({moment.isoformat()})")


def complete_values(before: ContractTerms, values: dict[str, Any], effective_at: datetime) -> dict[str, Any]:
    """Add what a new plan brings with it: no hours on demand, overage that lets jobs run, an end of what commits."""
    plan = values.get("plan", before.plan)
    if plan == before.plan:
        return values
    if plan == PlanName.ON_DEMAND:
        values.setdefault("committed_gpu_hours", 0)
        if before.overage == Overage.BLOCK:
            values.setdefault("overage", DEFAULT_OVERAGE[plan])
    elif before.ends_at is None:
        values.setdefault("ends_at", compute_expiry(effective_at, before.time_zone))
    return values


def _check_terms(before: ContractTerms, after: ContractTerms, effective_at: datetime) -> None:
    """Check that terms go together. Raises: CommitmentRefused, InvalidRequest."""
    try:
        check_commitment(after.plan_terms, after.plan, after.committed_gpu_hours)
    except (CommitmentTooSmall, CommitmentNotAllowed) as error:
        message, minimum = str(error), after.plan_terms.minimum_commit_gpu_hours
        found = [errors.FieldError("committed_gpu_hours", message)]
        raise errors.CommitmentRefused(message, errors=found, minimum_gpu_hours=minimum) from error
    if after.plan == PlanName.ON_DEMAND and after.overage == Overage.BLOCK:
        raise errors.invalid_field("overage", "an on_demand contract has no grant, so block would let nothing run")
    if after.ends_at is None and after.committed_gpu_hours:
        raise errors.invalid_field("ends_at", "a contract that commits to hours has an end")
    if after.ends_at is not None and after.ends_at <= effective_at:
        raise errors.invalid_field("ends_at", "must be in the future")
    lowered = after.committed_gpu_hours < before.committed_gpu_hours
    if lowered and after.plan == before.plan and after.plan_terms.advance:
        message = "these hours were bought ahead; void or refund their grant instead"
        raise errors.invalid_field("committed_gpu_hours", message)


def count_added_seconds(
    terms: ContractTerms, before: ContractTerms, after: ContractTerms, effective_at: datetime
) -> int:
    """Count the GPU-seconds that an amendment adds to what is committed to in this term; none where it takes some.

    A new plan begins a commitment of its own, in full. Other hours for the same plan count for what is left of the
    commitment's time: half of it, half of the difference.
    """
    if after.plan != before.plan:
        return after.committed_gpu_hours * SECONDS_PER_HOUR
    more = after.committed_gpu_hours - before.committed_gpu_hours
    if more <= 0:
        return 0
    assert after.ends_at is not None, "what commits has an end"
    whole = after.ends_at - find_commitment_start(terms, effective_at)
    rest = after.ends_at - effective_at
    return round(more * SECONDS_PER_HOUR * Fraction(rest // MICROSECOND, whole // MICROSECOND))


def find_commitment_start(terms: ContractTerms, moment: datetime) -> datetime:
    """Find when the contract came to the plan that it is on at a moment."""
    begins, plan = terms.starts_at, terms.at(terms.starts_at).plan
    for change in terms.changes:
        own = change.values.get("plan", plan)
        if change.effective_at <= moment and own != plan:
            begins, plan = change.effective_at, own
    return begins
