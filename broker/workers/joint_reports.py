"""What workers report is taken together with what comes while the last of it is being committed.

A batch is one transaction of the customers whose runs sent it (design 13); each report is decided by a unit of work
that sees its own customer's rows alone. Where a batch fails, it is taken customer by customer, and then one by one.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from broker.http.caller import Caller, open_together
from broker.jobs.running.locked_run import lock_runs
from broker.persistence.database import TimeLimits
from broker.persistence.driver import Row
from broker.persistence.faults import find_fault
from broker.persistence.joint_batches import HOPELESS, JointBatches
from broker.work import Work

# So long a batch of several customers waits for one lock: longer than others take, shorter than a worker would notice.
JOINT_LOCK_SECONDS = 1.0
# More of them would keep the processors no busier, and make smaller batches.
GROUPS = 2


class OfRun(Protocol):
    """What is reported of a run."""

    @property
    def run_id(self) -> str: ...


Told = TypeVar("Told", bound=OfRun)
Answer = TypeVar("Answer")
# Takes reports, each with the unit of work of its sender, from the rows of `lock_runs`, and writes what follows.
Take = Callable[[Sequence[tuple[Work, Told]], Sequence[Sequence[Row]]], Awaitable[Sequence[Answer | Exception]]]


@dataclass(frozen=True)
class Call(Generic[Told]):
    """A report, and who sent it."""

    caller: Caller
    told: Told

    @property
    def customer_id(self) -> str:
        return self.caller.actor.customer_id or ""


@dataclass(frozen=True)
class JointReports(Generic[Told, Answer]):
    """The collector of one process for one kind of reports. Units: seconds, for which a report waits for its turn.

    `gather_seconds`: so long a batch that follows one of several waits for as many again.
    """

    take: Take[Told, Answer]
    wait_seconds: float
    gather_seconds: float = 0.0

    @cached_property
    def batches(self) -> JointBatches[str, Call[Told], Answer]:
        return JointBatches(
            self.take_together,
            self._take_apart,
            self.wait_seconds,
            groups=GROUPS,
            gather_seconds=self.gather_seconds,
        )

    async def send(self, caller: Caller, told: Told) -> Answer:
        """Have a report taken with others. Raises: what it is answered; TooManyAtOnce, Busy."""
        call = Call(caller, told)
        return await self.batches.ask(call.customer_id, call)

    async def take_together(self, calls: Sequence[Call[Told]]) -> Sequence[Answer | Exception]:
        """Take a batch of whatever customers in one transaction."""
        settings = calls[0].caller.services.settings
        limits = TimeLimits(min(JOINT_LOCK_SECONDS, settings.lock_seconds), settings.statement_seconds)
        return await self._take(calls, limits)

    async def _take_apart(self, customer_id: str, calls: Sequence[Call[Told]]) -> Sequence[Answer | Exception]:
        """Take a batch of one customer; where that fails, one after the other, so that one never sinks the others."""
        settings = calls[0].caller.services.settings
        try:
            return await self._take(calls, TimeLimits(settings.lock_seconds, settings.statement_seconds))
        except Exception as error:
            if len(calls) == 1 or find_fault(error) in HOPELESS:
                raise
        return [await self._take_alone(customer_id, call) for call in calls]

    async def _take_alone(self, customer_id: str, call: Call[Told]) -> Answer | Exception:
        try:
            (answer,) = await self._take_apart(customer_id, [call])
        except Exception as error:  # noqa: BLE001 (whatever it is, it is this report's answer)
            return error
        return answer

    async def _take(self, calls: Sequence[Call[Told]], limits: TimeLimits) -> Sequence[Answer | Exception]:
        locking = lock_runs({call.told.run_id for call in calls}, seen_by={call.customer_id for call in calls})
        async with open_together([call.caller for call in calls], locking, limits) as (works, found):
            return await self.take([(works[call.customer_id], call.told) for call in calls], found)
