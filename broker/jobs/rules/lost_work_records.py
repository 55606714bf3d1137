"""How the records of lost work follow what is borne of it, once a correction has taken some of that back. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.ledger.books.causes import Cause
from pricing.usage import Usage


@dataclass(frozen=True)
class LostSince:
    """What a run lost for a cause since a step, or a change of that; `after_step` None: before its first checkpoint."""

    cause: Cause
    after_step: int | None
    usage: Usage


def plan_changes(recorded: Sequence[LostSince], borne: Mapping[Cause, Usage]) -> list[LostSince]:
    """Plan what is to be recorded beside what was, so that both say what the house bears of a run, cause by cause.

    `recorded` is what its records say together, the earliest first: what was lost last is corrected first, and none
    becomes less than nothing.
    """
    changes: list[LostSince] = []
    for cause in dict.fromkeys(each.cause for each in recorded):
        own = [each for each in recorded if each.cause == cause]
        more = borne.get(cause, Usage()) - sum((each.usage for each in own), Usage())
        for position, each in enumerate(reversed(own)):
            change = _limit(more, each.usage, is_last=position == len(own) - 1)
            more -= change
            if change != Usage():
                changes.append(LostSince(cause, each.after_step, change))
    return changes


def _limit(more: Usage, recorded: Usage, *, is_last: bool) -> Usage:
    """Limit what one record is changed by: to all that it has, and the first takes what is left over."""
    if is_last:
        return more
    return Usage(max(more.gpu_seconds, -recorded.gpu_seconds), max(more.tokens, -recorded.tokens))
