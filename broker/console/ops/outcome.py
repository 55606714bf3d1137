"""What a change of ops brought about: whom it lets start or strands, what stops, and the decision that undoes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.audit import service as audit
from broker.console.frame.page import Page
from broker.console.ops.reading import open_work


@dataclass(frozen=True)
class Outcome:
    """What came of a change, or would. `frees` counts the jobs that can start now, `never_start` those that never will.

    `stranded` names the first hundred of these.

    `entry_id`: the decision on record, by which it is undone; None: nothing was changed.
    """

    frees: int
    never_start: int
    stranded: Sequence[str]
    stopping: Sequence[str]
    lost_runs: Sequence[str]
    entry_id: str | None = None


def read_outcome(body: Mapping[str, Any]) -> Outcome:
    """Read what the API answered. Pure."""
    warnings = body.get("warnings", ())
    return Outcome(
        frees=body.get("frees", 0),
        never_start=sum(each["count"] for each in warnings),
        stranded=[job_id for each in warnings for job_id in each["job_ids"]],
        stopping=body.get("stopping", ()),
        lost_runs=body.get("lost_runs", ()),
    )


async def tell_outcome(page: Page, body: Mapping[str, Any], object_id: str | None) -> Outcome:
    """Tell what came of a change that this person has just made of an object; None: whatever it was."""
    entry = await audit.find_last_of(await open_work(page), page.caller.actor.id, object_id)
    undoable = entry is not None and entry.changed is not None
    return replace(read_outcome(body), entry_id=entry.id if entry is not None and undoable else None)
