"""The states of a dispute, and what follows where it is lost. Pure."""

from collections.abc import Mapping
from enum import StrEnum

from broker import errors


class DisputeKind(StrEnum):
    """What is disputed: a line of an invoice, or a payment that the payer's bank takes back."""

    LINE = "line"
    CHARGEBACK = "chargeback"


class DisputeStatus(StrEnum):
    """Where a dispute is. WON and LOST are told from the house's side; a customer withdraws what it opened."""

    OPENED = "opened"
    ANSWERED = "answered"
    WON = "won"
    LOST = "lost"
    WITHDRAWN = "withdrawn"


class Remedy(StrEnum):
    """What follows a lost dispute: a credit note of the line, a debt that is given up, or a payment that is due again.

    A chargeback is lost with the payment gone: its invoice is due again, and may be given up.
    """

    CREDIT_NOTE = "credit_note"
    BAD_DEBT = "bad_debt"
    DUE_AGAIN = "due_again"


STANDING = frozenset({DisputeStatus.OPENED, DisputeStatus.ANSWERED})
ENDS = frozenset({DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.WITHDRAWN})
# What may follow each state; an answer may be mended, and ends nothing.
NEXT: Mapping[DisputeStatus, frozenset[DisputeStatus]] = {
    DisputeStatus.OPENED: frozenset({DisputeStatus.ANSWERED}) | ENDS,
    DisputeStatus.ANSWERED: frozenset({DisputeStatus.ANSWERED}) | ENDS,
    DisputeStatus.WON: frozenset(),
    DisputeStatus.LOST: frozenset(),
    DisputeStatus.WITHDRAWN: frozenset(),
}
REMEDIES: Mapping[DisputeKind, tuple[Remedy, ...]] = {
    DisputeKind.LINE: (Remedy.CREDIT_NOTE, Remedy.BAD_DEBT),
    DisputeKind.CHARGEBACK: (Remedy.DUE_AGAIN, Remedy.BAD_DEBT),
}


def require_next(status: DisputeStatus, to: DisputeStatus) -> None:
    """Require that a dispute may go from one state to another. Raises: IllegalTransition."""
    if to not in NEXT[status]:
        raise errors.IllegalTransition(
            f"The dispute is {status.value}; it cannot be {to.value} after that.", status_before=status.value
        )


def choose_remedy(kind: DisputeKind, asked: Remedy | None) -> Remedy:
    """Choose what follows a lost dispute: what is asked for, or the usual. Raises: InvalidRequest."""
    usual = REMEDIES[kind]
    if asked is not None and asked not in usual:
        raise errors.invalid_field("remedy", f"is {' or '.join(each.value for each in usual)} for a {kind.value}")
    return asked or usual[0]
