"""The three plans, and what a contract must commit to."""

from enum import StrEnum
from typing import Protocol


class PlanName(StrEnum):
    ON_DEMAND = "on_demand"
    PREPAID = "prepaid"
    LONG_TERM = "long_term"


class CommitmentTerms(Protocol):
    """The part of a plan's terms that a contract is checked against."""

    @property
    def minimum_commit_gpu_hours(self) -> int: ...


class CommitmentTooSmall(ValueError):
    """The contract commits fewer GPU-hours than its plan asks for."""

    def __init__(self, plan: PlanName, committed: int, minimum: int) -> None:
        self.plan, self.committed, self.minimum = plan, committed, minimum
        super().__init__(f"{plan} needs at least {minimum} committed GPU-hours, got {committed}")


class CommitmentNotAllowed(ValueError):
    """An on-demand contract commits to nothing."""

    def __init__(self, plan: PlanName, committed: int) -> None:
        self.plan, self.committed = plan, committed
        super().__init__(f"{plan} has no commitment: committed GPU-hours must be 0, got {committed}")


def check_commitment(terms: CommitmentTerms, plan: PlanName, committed_gpu_hours: int) -> None:
    """Refuse a contract whose volume does not fit its plan.

    Units: whole GPU-hours.
    Raises: CommitmentNotAllowed, CommitmentTooSmall.
    Source: the rate card's terms; a plan is given by the volume contracted at signing (MISSION).
    """
    if plan == PlanName.ON_DEMAND and committed_gpu_hours != 0:
        raise CommitmentNotAllowed(plan, committed_gpu_hours)
    if committed_gpu_hours < terms.minimum_commit_gpu_hours:
        raise CommitmentTooSmall(plan, committed_gpu_hours, terms.minimum_commit_gpu_hours)
