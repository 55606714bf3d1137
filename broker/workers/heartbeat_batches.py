"""Heartbeats that arrive while the last ones are being committed are taken together, whoever's runs they are of."""

from collections.abc import Sequence

from broker.http.caller import Caller
from broker.persistence.driver import COMMIT, Row
from broker.work import run_for_all
from broker.workers.heartbeat import Beat, SentBeat, decide_heartbeats, take_heartbeats
from broker.workers.joint_reports import JointReports
from broker.workers.model import Instruction

HeartbeatBatches = JointReports[Beat, Instruction]

# Under load a heartbeat waits so long for others: a worker sends the next one seconds later, and trains meanwhile.
# Longer, and a process all of whose runs have just been answered idles until they beat again.
GATHER_SECONDS = 0.01


def collect_heartbeats(wait_seconds: float) -> HeartbeatBatches:
    """Make the collector of one process: batches of all customers, and where one fails of each customer."""
    return HeartbeatBatches(_take, wait_seconds, GATHER_SECONDS)


async def send_heartbeat(batches: HeartbeatBatches, caller: Caller, beat: Beat) -> Instruction:
    """Have a heartbeat taken with others; one whose answer is kept under a key is taken alone.

    Raises: NotFound, StaleFenceToken, InvalidRequest; TooManyAtOnce, Busy.
    """
    if caller.claim is None:
        return await batches.send(caller, beat)
    (answer,) = await take_heartbeats(await caller.begin(), [beat])
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _take(sent: Sequence[SentBeat], found: Sequence[Sequence[Row]]) -> Sequence[Instruction | Exception]:
    taken = await decide_heartbeats(sent, found)
    await run_for_all([work for work, _beat in sent], taken.commands, after=COMMIT)
    return taken.answers
