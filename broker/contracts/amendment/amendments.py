"""What an amendment does to a contract: whether it may, what it replaces, and how many hours it adds. Pure."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from broker import errors
from broker.contracts.amendment.amendable import GRANT_ENDS, GUARANTEE, OF_THE_WHOLE, show_term
from broker.contracts.amendment.amendment_moments import check_order, find_moment
from broker.contracts.amendment.new_amendment import NewAmendment, UnusedGrants, resolve_values
from broker.contracts.terms.agreed import ContractStatus, TrueUpRule, make_no_guarantee, make_no_true_up
from broker.contracts.terms.changes import CommitmentPoint, TermsChange
from broker.contracts.terms.commitment_line import (
    MICROSECOND,
    SECONDS_PER_HOUR,
    commits_anew,
    count_committed,
    count_reached,
    find_commitment_start,
)
from broker.contracts.terms.model import DEFAULT_OVERAGE, ContractTerms, Overage
from pricing.grants import compute_expiry
from pricing.money import Money, round_to_fen
from pricing.plans import CommitmentNotAllowed, CommitmentTooSmall, PlanName, check_commitment
from pricing.rating import price_usage
from pricing.usage import Unit


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
    commitment: CommitmentPoint | None = None

    @property
    def values(self) -> dict[str, Any]:
        return {each.name: each.after for each in self.replaced}

    def make_change(self, amendment_id: str) -> TermsChange:
        """Make what holds from a moment on, with the name of what else it changes of the contract as a whole."""
        values = {name: value for name, value in self.values.items() if name != OF_THE_WHOLE}
        return TermsChange(self.effective_at, values, amendment_id, self.of_the_whole, self.commitment)

    @property
    def of_the_whole(self) -> tuple[str, ...]:
        """Name what else it changes from its confirmation on: the end of the contract, and those of grants."""
        ends_grants = self.unused_grants == UnusedGrants.EXPIRE
        return (OF_THE_WHOLE,) * self.changes(OF_THE_WHOLE) + (GRANT_ENDS,) * ends_grants

    def foresee(self) -> ContractTerms:
        """Foresee the whole contract as it would be amended."""
        terms, change = self.terms, self.make_change("")
        as_signed = TermsChange(terms.starts_at, {name: getattr(terms, name) for name in change.values})
        signed, *earlier = terms.changes or (as_signed,)
        ordered = sorted([*earlier, change], key=lambda each: each.effective_at)
        return replace(terms, ends_at=self.amended.ends_at, changes=(signed, *ordered))

    @property
    def committed_gpu_seconds(self) -> int:
        """Tell what the contract commits to in the whole of its term, once this is in effect."""
        known = self.commitment
        return count_committed(self.terms, self.effective_at) if known is None else known.total

    def changes(self, name: str) -> bool:
        return name in self.values

    def describe_changes(self) -> list[dict[str, Any]]:
        """Write what is replaced as JSON, by the names that the API has; money in yuan."""
        return [shown for each in self.replaced for shown in show_term(each.name, each.before, each.after)]


class AmendmentStatus(StrEnum):
    """Whether an amendment is still to come, has taken effect, or was withdrawn before it did."""

    PLANNED = "planned"
    IN_EFFECT = "in_effect"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Amendment:
    """An amendment as it was confirmed. Units: GPU-seconds; `changes` are JSON, as its preview showed them.

    `grant_ends` are the ends that it took from grants, as JSON; `withdrawn_at` is when it was undone before its moment.
    """

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
    grant_ends: list[dict[str, Any]] = field(default_factory=list, repr=False)
    withdrawn_at: datetime | None = None

    def status_at(self, moment: datetime) -> AmendmentStatus:
        """Tell where the amendment is in its life."""
        if self.withdrawn_at is not None:
            return AmendmentStatus.WITHDRAWN
        return AmendmentStatus.PLANNED if moment < self.effective_at else AmendmentStatus.IN_EFFECT

    def find_before(self, field_name: str) -> Any:
        """Find what a field of the API was before, as JSON; None where it is not changed, or was nothing."""
        return next((each["before"] for each in self.changes if each["field"] == field_name), None)


def plan_amendment(
    terms: ContractTerms, new: NewAmendment, now: datetime, unrated_since: datetime | None = None
) -> PlannedAmendment:
    """Plan an amendment, or refuse it. Raises: IllegalTransition, InvalidRequest, CommitmentRefused.

    `unrated_since` is from when on nothing has been rated yet; None: all is, up to now.
    """
    status = terms.status_at(now)
    if status in {ContractStatus.ENDED, ContractStatus.CANCELLED}:
        raise errors.IllegalTransition(f"Contract {terms.id} is {status}; sign another one.", status_before=status)
    effective_at = find_moment(terms, new, now, unrated_since)
    before = terms.at(effective_at)
    basis = max(new.find_basis(effective_at), terms.starts_at)
    values = complete_values(before, resolve_values(before, new.values, effective_at), basis)
    replaced = tuple(
        Replaced(name, getattr(before, name), value) for name, value in values.items() if getattr(before, name) != value
    )
    if not replaced:
        raise errors.InvalidRequest(
            "The amendment changes nothing: every term that it names is so already.",
            errors=[errors.FieldError("body", "must have a term that is to be another one than now")],
        )
    after = replace(before, **values)
    _check_terms(before, after, max(effective_at, now))
    added = count_added_seconds(terms, before, after, basis)
    price = after.prices_at(effective_at).per_gpu_hour
    amount = round_to_fen(price_usage(Unit.GPU_SECONDS, added, price))
    point = plan_commitment(terms, before, after, Moments(effective_at, basis))
    planned = PlannedAmendment(terms, effective_at, replaced, added, amount, new.unused_grants, after, point)
    check_order(terms, planned.make_change("").names, after, effective_at)
    return planned


def complete_values(before: ContractTerms, values: dict[str, Any], effective_at: datetime) -> dict[str, Any]:
    """Add what a new plan brings with it: no hours on demand, overage that lets jobs run, an end of what commits.

    GPUs that are guaranteed to a queue of the contract's own go where the new plan has none.
    """
    plan = values.get("plan", before.plan)
    if plan == before.plan:
        return values
    if not before.cards[0].terms(plan).minimum_commit_gpu_hours or before.cards[0].terms(plan).advance:
        values.setdefault("true_up", TrueUpRule.AT_END)
    if before.guaranteed_gpus and not replace(before, plan=plan).has_own_queue:
        values.setdefault(GUARANTEE, ())
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
    if after.true_up == TrueUpRule.YEARLY and not after.trues_up:
        raise make_no_true_up()
    if after.guaranteed_gpus and not after.has_own_queue:
        raise make_no_guarantee()
    if after.ends_at is None and after.committed_gpu_hours:
        raise errors.invalid_field("ends_at", "a contract that commits to hours has an end")
    if after.ends_at is not None and after.ends_at <= effective_at:
        raise errors.invalid_field("ends_at", f"must be to come, and after {effective_at.isoformat()}")
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
    return max(0, _count_difference(terms, before, after, effective_at))


def _count_difference(terms: ContractTerms, before: ContractTerms, after: ContractTerms, effective_at: datetime) -> int:
    """Count the GPU-seconds by which other hours for the same plan change its commitment: below zero for fewer."""
    more = after.committed_gpu_hours - before.committed_gpu_hours
    if more == 0:
        return 0
    assert after.ends_at is not None, "what commits has an end"
    whole = after.ends_at - find_commitment_start(terms, effective_at)
    rest = after.ends_at - effective_at
    return round(more * SECONDS_PER_HOUR * Fraction(rest // MICROSECOND, whole // MICROSECOND))


@dataclass(frozen=True)
class Moments:
    """When an amendment takes effect, and the moment from which its hours are prorated."""

    effective_at: datetime
    basis: datetime


def plan_commitment(
    terms: ContractTerms, before: ContractTerms, after: ContractTerms, moments: Moments
) -> CommitmentPoint | None:
    """Plan what is committed to from an amendment on; None where that stays as it is."""
    if commits_anew(terms) and before.trues_up and after.plan == before.plan:
        return CommitmentPoint(None, Fraction(0), after.committed_gpu_hours * SECONDS_PER_HOUR)
    former = count_reached(terms, moments.effective_at)
    if after.plan != before.plan:
        return CommitmentPoint(former, Fraction(0), after.committed_gpu_hours * SECONDS_PER_HOUR)
    if (after.committed_gpu_hours, after.ends_at) == (before.committed_gpu_hours, before.ends_at):
        return None
    total = count_committed(terms, moments.effective_at) + _count_difference(terms, before, after, moments.basis)
    return CommitmentPoint(former, former, total)
