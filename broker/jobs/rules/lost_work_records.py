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
        for each in reversed(own):
            change = Usage(max(more.gpu_seconds, -each.usage.gpu_seconds), max(more.tokens, -each.usage.tokens))
            more -= change
            if change != Usage():
                changes.append(LostSince(cause, each.after_step, change))
    return changes
