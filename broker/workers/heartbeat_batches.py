"""Heartbeats that arrive while the last ones are being committed are taken together, whoever's runs they are of.

A batch is one transaction of the customers whose runs sent it (design 13); each heartbeat is decided by a unit of work
that sees its own customer's rows alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.http.caller import Caller, open_together
from broker.persistence.database import TimeLimits
from broker.persistence.driver import COMMIT
from broker.persistence.faults import find_fault
from broker.persistence.joint_batches import HOPELESS, JointBatches
from broker.work import run_for_all
from broker.workers.heartbeat import Beat, decide_heartbeats, lock_heartbeats, take_heartbeats
from broker.workers.model import Instruction

# So long a batch of several customers waits for one lock: longer than others take, shorter than a worker would notice.
JOINT_LOCK_SECONDS = 1.0
# More of them would keep the processors no busier, and make smaller batches.
GROUPS = 2


@dataclass(frozen=True)
class Call:
    """A heartbeat, and who sent it."""

    caller: Caller
    beat: Beat

    @property
    def customer_id(self) -> str:
        return self.caller.actor.customer_id or ""


HeartbeatBatches = JointBatches[str, Call, Instruction]


def collect_heartbeats(wait_seconds: float) -> HeartbeatBatches:
    """Make the collector of one process: batches of all customers, and where one fails of each customer."""
    return HeartbeatBatches(take_together, _take_apart, wait_seconds, groups=GROUPS)


async def send_heartbeat(batches: HeartbeatBatches, caller: Caller, beat: Beat) -> Instruction:
    """Have a heartbeat taken with others; one whose answer is kept under a key is taken alone.

    Raises: NotFound, StaleFenceToken, InvalidRequest; TooManyAtOnce, Busy.
    """
    if caller.claim is None:
        call = Call(caller, beat)
        return await batches.ask(call.customer_id, call)
    (answer,) = await take_heartbeats(await caller.begin(), [beat])
    if isinstance(answer, Exception):
        raise answer
    return answer


async def take_together(calls: Sequence[Call]) -> Sequence[Instruction | Exception]:
    """Take a batch of whatever customers in one transaction."""
    settings = calls[0].caller.services.settings
    limits = TimeLimits(min(JOINT_LOCK_SECONDS, settings.lock_seconds), settings.statement_seconds)
    return await _take(calls, limits)


async def _take_apart(customer_id: str, calls: Sequence[Call]) -> Sequence[Instruction | Exception]:
    """Take a batch of one customer; where that fails, one after the other, so that one never sinks the others."""
    settings = calls[0].caller.services.settings
    try:
        return await _take(calls, TimeLimits(settings.lock_seconds, settings.statement_seconds))
    except Exception as error:
        if len(calls) == 1 or find_fault(error) in HOPELESS:
            raise
    return [await _take_alone(customer_id, call) for call in calls]


async def _take_alone(customer_id: str, call: Call) -> Instruction | Exception:
    try:
        (answer,) = await _take_apart(customer_id, [call])
    except Exception as error:  # noqa: BLE001 (whatever it is, it is this heartbeat's answer)
        return error
    return answer


async def _take(calls: Sequence[Call], limits: TimeLimits) -> Sequence[Instruction | Exception]:
    locking = lock_heartbeats((call.beat for call in calls), seen_by={call.customer_id for call in calls})
    async with open_together([call.caller for call in calls], locking, limits) as (works, found):
        taken = await decide_heartbeats([(works[call.customer_id], call.beat) for call in calls], found)
        await run_for_all(works.values(), taken.commands, after=COMMIT)
        return taken.answers
