"""What a contract may do in each state of arrears (欠费): the table of the issue, cell by cell. Pure.

Which state a contract is in is decided in `broker.arrears`; everything that is kept from somebody who owes asks here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ArrearsState(StrEnum):
    """How far a contract is in arrears, from paying in time to closed."""

    CURRENT = "current"
    GRACE = "grace"
    SUSPENDED = "suspended"
    RETENTION = "retention"
    CLOSED = "closed"


class Use(StrEnum):
    """How much may be used: whatever the contract sells, what paid grants have, or nothing."""

    ALL = "all"
    WITHIN_PAID_GRANTS = "within_paid_grants"
    NONE = "none"


class Paying(StrEnum):
    """What a payment does. It is taken in every state, and settles the arrears first; of a closed one only debts."""

    PAYS = "pays"
    PAYS_AND_RESUMES = "pays_and_resumes"
    TO_DEBTS_ONLY = "to_debts_only"


class DataKept(StrEnum):
    """What becomes of data sets, checkpoints and adapters."""

    KEPT = "kept"
    DELETION_ANNOUNCED = "deletion_announced"
    DELETED = "deleted"


@dataclass(frozen=True)
class Allowed:
    """One line of the table. `running`: how far runs that have begun go on; `buy`: hours and tokens on credit."""

    submit: Use
    running: Use
    buy: bool
    paying: Paying
    download: bool
    data: DataKept


ALLOWED: Mapping[ArrearsState, Allowed] = {
    ArrearsState.CURRENT: Allowed(Use.ALL, Use.ALL, True, Paying.PAYS, True, DataKept.KEPT),
    ArrearsState.GRACE: Allowed(Use.WITHIN_PAID_GRANTS, Use.ALL, False, Paying.PAYS, True, DataKept.KEPT),
    ArrearsState.SUSPENDED: Allowed(
        Use.WITHIN_PAID_GRANTS, Use.WITHIN_PAID_GRANTS, False, Paying.PAYS_AND_RESUMES, True, DataKept.KEPT
    ),
    ArrearsState.RETENTION: Allowed(
        Use.NONE, Use.NONE, False, Paying.PAYS_AND_RESUMES, True, DataKept.DELETION_ANNOUNCED
    ),
    ArrearsState.CLOSED: Allowed(Use.NONE, Use.NONE, False, Paying.TO_DEBTS_ONLY, False, DataKept.DELETED),
}
