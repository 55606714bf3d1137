"""What one person of staff may not decide alone: amounts above what the settings allow need another one's word.

The services that give money away ask here, with the amount and before anything is booked; `broker/approvals/` has what
was proposed, and carries it out once another person has approved it.
"""

from enum import StrEnum

from broker import errors
from broker.work import Work
from pricing.money import Money


class Giving(StrEnum):
    """How money is given away; each has a setting of its own, `BROKER_APPROVAL_` and its name."""

    CREDIT = "credit"
    GRANT = "grant"
    WRITE_OFF = "write_off"
    CREDIT_NOTE = "credit_note"
    REFUND = "refund"


def require_second_person(work: Work, giving: Giving, amount: Money) -> None:
    """Refuse an amount that needs two people, unless it was approved. Raises: ApprovalNeeded.

    What is taken counts as what is given: a credit that is lowered is money, too.
    """
    allowed = find_allowed(work, giving)
    if allowed is not None and max(amount, -amount) > allowed:
        raise errors.ApprovalNeeded(
            f"A {giving.value.replace('_', ' ')} of more than {allowed} needs two people: propose it with "
            "POST /v1/approvals, and have another person approve it.",
            giving=giving.value,
            amount=amount.format_amount(),
            allowed=allowed.format_amount(),
        )


def find_allowed(work: Work, giving: Giving) -> Money | None:
    """Find how much one person may give away; None: any amount, or it was approved."""
    most = getattr(work.settings, f"approval_{giving.value}")
    return None if most is None or work.approval is not None else Money.from_decimal(most)
