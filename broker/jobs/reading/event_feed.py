"""Events as they happen: all jobs that are followed from this process are read together, in one look a turn."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, String, column, select, values

from broker import errors
from broker.http.leaving import Leaving
from broker.jobs.rules.model import TERMINAL
from broker.jobs.tables import Job, JobEvent
from broker.system import System
from broker.work import Work

LOOK_SECONDS = 0.5
LOOKING = "reading the events of jobs"
QUIET_SECONDS = 15.0
# A stream ends after so long; its client comes back with the id of its last event, and its key is looked at again.
LONGEST_SECONDS = 900.0
MAX_FOLLOWERS, MAX_OWN_FOLLOWERS = 1000, 100
READ_AT_ONCE = 1000


@dataclass(eq=False)
class Follower:
    """Somebody who follows a job. `after` is the id of the last event handed over; `owner` is the tenant or the key."""

    job_id: str
    after: int
    owner: str
    waiting: asyncio.Queue[JobEvent | None] = field(default_factory=asyncio.Queue)


class EventFeed:
    """Hands the events of followed jobs to those who follow them. It looks only while somebody does.

    `leaving` ends the streams of a process that leaves.
    """

    def __init__(self, system: System, leaving: Leaving) -> None:
        self.system, self.leaving = system, leaving
        leaving.tell_at_end(self._end_all)
        self.followers: set[Follower] = set()
        self.looking: asyncio.Task[None] | None = None

    def require_room(self, owner: str) -> None:
        """Refuse another stream where too many are open. Raises: Busy, TooManyAtOnce."""
        own = sum(follower.owner == owner for follower in self.followers)
        if own >= MAX_OWN_FOLLOWERS:
            raise errors.TooManyAtOnce(f"{own} streams of yours are open already: close some.", retry_after_seconds=10)
        if len(self.followers) >= MAX_FOLLOWERS:
            raise errors.Busy("As many streams are open as this process serves.", retry_after_seconds=10)

    async def listen(self, job_id: str, *, after: int, owner: str) -> AsyncGenerator[JobEvent | None]:
        """Hand over a job's events as they come, None where none has come for a while.

        It ends with the job, and where the process leaves.
        """
        follower = Follower(job_id, after, owner)
        self.followers.add(follower)
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self._look_while_followed())
        ends_at = asyncio.get_running_loop().time() + LONGEST_SECONDS
        try:
            while not self.leaving.ends_streams and (left := ends_at - asyncio.get_running_loop().time()) > 0:
                try:
                    event = await asyncio.wait_for(follower.waiting.get(), min(QUIET_SECONDS, left))
                except TimeoutError:
                    yield None
                    continue
                if event is None:
                    return
                yield event
        finally:
            self.followers.discard(follower)

    def _end_all(self) -> None:
        for follower in self.followers:
            follower.waiting.put_nowait(None)

    async def _look_while_followed(self) -> None:
        while self.followers:
            try:
                async with self.system.work() as work:
                    await self._look(work)
                self.system.services.failures.settle(LOOKING)
            except Exception as error:  # noqa: BLE001 (they are read again, for as long as somebody follows)
                self.system.services.note_failure(LOOKING, error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, work: Work) -> None:
        """Hand over what is new, and tell those whose job is over and who have heard it all."""
        followers = list(self.followers)
        over = await _list_over(work, {follower.job_id for follower in followers})
        events = await _list_new(work, followers)
        for follower in followers:
            own = [event for event in events if event.job_id == follower.job_id and event.id > follower.after]
            for event in own:
                follower.waiting.put_nowait(event)
                follower.after = event.id
            if not own and follower.job_id in over and len(events) < READ_AT_ONCE:
                follower.waiting.put_nowait(None)


async def _list_over(work: Work, job_ids: set[str]) -> set[str]:
    """List those of the jobs that have ended. Asked before their events: what ended one is then among these."""
    ended = [status.value for status in TERMINAL]
    return set((await work.session.scalars(select(Job.id).where(Job.id.in_(job_ids), Job.status.in_(ended)))).all())


async def _list_new(work: Work, followers: list[Follower]) -> list[JobEvent]:
    earliest: dict[str, int] = {}
    for follower in followers:
        earliest[follower.job_id] = min(follower.after, earliest.get(follower.job_id, follower.after))
    followed = values(column("job_id", String), column("after", BigInteger), name="followed").data(
        list(earliest.items())
    )
    query = select(JobEvent).join(followed, JobEvent.job_id == followed.c.job_id).where(JobEvent.id > followed.c.after)
    return list((await work.session.scalars(query.order_by(JobEvent.id).limit(READ_AT_ONCE))).all())
