"""Corrections of losses that were compensated before, shared out among the compensations. Pure.

What a correction takes off a loss was never used. Where the loss had come back as a compensation by then, so many hours
of that compensation are no loss (`late_losses.py`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from broker.contracts.terms.model import GrantTerms


class CorrectedLoss(NamedTuple):
    """GPU-seconds of a grant that were borne as lost at a moment, and taken off that loss at a later one."""

    grant_id: str
    quantity: int
    lost_at: datetime
    corrected_at: datetime


def share_out(corrected: Iterable[CorrectedLoss], made: Sequence[GrantTerms]) -> Mapping[str, int]:
    """Share corrections out among compensations, which are in the order of their making.

    Each is of the first one that was made of its grant between the loss and the correction; of none where none was made
    by then: so much less has come back.
    """
    never_used: Counter[str] = Counter()
    for each in corrected:
        of_grant = [grant for grant in made if grant.compensates_id == each.grant_id]
        between = [grant.id for grant in of_grant if each.lost_at <= grant.created_at <= each.corrected_at]
        for compensation_id in between[:1]:
            never_used[compensation_id] += each.quantity
    return never_used
