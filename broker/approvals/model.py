"""States of a proposal, and who may decide it when. Pure."""

from datetime import datetime
from enum import StrEnum

from broker import errors


class ApprovalStatus(StrEnum):
    """PROPOSED waits for another person; EXPIRED waited too long. The others are decided."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


def judge_status(kept: str, expires_at: datetime, now: datetime) -> ApprovalStatus:
    """Judge what a proposal is now: one that nobody decided in time has expired, without anybody noting it."""
    status = ApprovalStatus(kept)
    return ApprovalStatus.EXPIRED if status == ApprovalStatus.PROPOSED and now >= expires_at else status


def require_open(proposal_id: str, status: ApprovalStatus) -> None:
    """Require a proposal that nobody has decided. Raises: IllegalTransition."""
    if status != ApprovalStatus.PROPOSED:
        raise errors.IllegalTransition(
            f"Proposal {proposal_id} is {status.value}; only one that is proposed can be decided. Propose it anew.",
            status_before=status.value,
        )


def require_other(proposer: str, approver: str) -> None:
    """Require that another person approves. Raises: Forbidden."""
    if proposer == approver:
        raise errors.Forbidden("Who proposed it cannot approve it: another person has to, with a key of their own.")
