"""Taking usage that a run sends as events: each is judged by itself, and those that are intervals are taken at once."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from broker.jobs.running.locked_run import LockedRun
from broker.metering.events.evidence import Doubt
from broker.metering.events.model import UsageCloudEvent, find_subject_fault
from broker.metering.events.outcomes import DUPLICATE, Outcome, Verdict, reject
from broker.metering.events.posted import Posted
from broker.metering.outside.measured import Invalid, read_shapes
from broker.metering.service import take_usage
from broker.work import Work

EVENT, EVENTS = TypeAdapter(UsageCloudEvent), TypeAdapter(list[UsageCloudEvent])


async def take_intervals(work: Work, locked: LockedRun, posted: Posted) -> tuple[list[Outcome], Mapping[int, Doubt]]:
    """Take the intervals of a run; tells what became of each event, and which numbers are in quarantine and why.

    Of two tellings of one number the first counts, whatever the second says. The caller holds the locks of run and job.
    """
    read = [_check_subject(event, locked.run.id) for event in read_shapes(posted, EVENT, EVENTS)]
    intervals = [event for event in read if isinstance(event, UsageCloudEvent)]
    taken = await take_usage(work, locked, intervals)
    outcomes, untold = [], set(taken.new)
    for event in read:
        if isinstance(event, Invalid):
            outcomes.append(reject(event.faults))
        elif event.data.sequence in untold:
            untold.discard(event.data.sequence)
            outcomes.append(Outcome(Verdict.ACCEPTED, taken.quarantined.get(event.data.sequence)))
        else:
            outcomes.append(DUPLICATE)
    return outcomes, taken.quarantined


def _check_subject(event: UsageCloudEvent | Invalid, run_id: str) -> UsageCloudEvent | Invalid:
    fault = None if isinstance(event, Invalid) else find_subject_fault(event, run_id)
    return event if fault is None else Invalid([fault])
