"""Heartbeats that arrive while the last ones of their customer are being committed are taken together (design 13)."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.http.caller import Caller
from broker.persistence.batches import Batches, FewTurns
from broker.persistence.driver import COMMIT
from broker.persistence.faults import Fault, find_fault
from broker.workers.heartbeat import Beat, decide_heartbeats, lock_heartbeats, take_heartbeats
from broker.workers.model import Instruction

# While one transaction waits for the database, others' heartbeats come in; a second one would only halve the batches.
TURNS, LONGEST_TURN_SECONDS = 1, 0.25
# What fails for all of a batch would fail for each of them, too.
HOPELESS = frozenset({Fault.AWAY, Fault.FULL})


@dataclass(frozen=True)
class Call:
    """A heartbeat, and who sent it."""

    caller: Caller
    beat: Beat


HeartbeatBatches = Batches[str, Call, Instruction]


def collect_heartbeats(wait_seconds: float) -> HeartbeatBatches:
    """Make the collector of one process."""
    return HeartbeatBatches(_decide, wait_seconds, turns=FewTurns(TURNS, LONGEST_TURN_SECONDS))


async def send_heartbeat(batches: HeartbeatBatches, caller: Caller, beat: Beat) -> Instruction:
    """Have a heartbeat taken with the others of its customer; one whose answer is kept under a key is taken alone.

    Raises: NotFound, StaleFenceToken, InvalidRequest; TooManyAtOnce, Busy.
    """
    if caller.claim is None:
        return await batches.ask(caller.actor.customer_id or "", Call(caller, beat))
    (answer,) = await take_heartbeats(await caller.begin(), [beat])
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _decide(customer_id: str, calls: Sequence[Call]) -> Sequence[Instruction | Exception]:
    """Take a batch in one transaction; where that fails, one after the other, so that one never sinks the others."""
    try:
        return await _take_together(calls)
    except Exception as error:
        if len(calls) == 1 or find_fault(error) in HOPELESS:
            raise
    return [await _take_alone(customer_id, call) for call in calls]


async def _take_together(calls: Sequence[Call]) -> Sequence[Instruction | Exception]:
    caller, beats = calls[0].caller, [call.beat for call in calls]
    locking = lock_heartbeats(beats, seen_by=caller.actor.confined_to)
    async with caller.open_with(locking) as (work, found):
        taken = await decide_heartbeats(work, beats, found)
        await work.run_together(taken.commands, after=COMMIT)
        return taken.answers


async def _take_alone(customer_id: str, call: Call) -> Instruction | Exception:
    try:
        (answer,) = await _decide(customer_id, [call])
    except Exception as error:  # noqa: BLE001 (whatever it is, it is this heartbeat's answer)
        return error
    return answer
