"""What the runs of a history report at one moment goes to the services together: a transaction for all of it.

It is how a broker takes what comes while it commits (`broker/workers/joint_reports.py`): the same services decide the
same set, only the HTTP between is left out, which cost more than they do. Uploads come first, then heartbeats and ends.
Each run hears its own answer; one that its broker has given up hears nothing, and tells nothing more.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.adapters.service import receive_adapter
from broker.cli.demo.history.house import House
from broker.errors import DomainError
from broker.execution.engine import LaunchSpec
from broker.jobs.rules.model import RunStatus
from broker.jobs.running.locked_run import lock_runs
from broker.persistence.storage import StoredObject
from broker.work import Work
from broker.workers.finishing import EndsAlone, Finish, finish_run, take_finishes
from broker.workers.heartbeat import Beat, take_heartbeats
from broker.workers.model import Instruction, RunEnd
from broker.workers.schemas import FinishIn, HeartbeatIn
from broker.workers.uploads import keep_adapter, keep_checkpoint, receive_checkpoint

HearInstruction = Callable[[Instruction], Awaitable[None]]


@dataclass(frozen=True)
class Upload:
    """A file of a run: its checkpoint after a step, or its adapter, where there is none."""

    spec: LaunchSpec
    content: bytes
    step: int | None = None


@dataclass
class Told:
    """What was reported and is not delivered yet, in its order."""

    uploads: list[Upload] = field(default_factory=list)
    beats: list[tuple[Beat, HearInstruction]] = field(default_factory=list)
    ends: list[Finish] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.uploads or self.beats or self.ends)


@dataclass
class Reporting:
    """Collects what runs report, and delivers it."""

    house: House
    told: Told = field(default_factory=Told)

    def upload(self, spec: LaunchSpec, content: bytes, step: int | None = None) -> None:
        self.told.uploads.append(Upload(spec, content, step))

    def beat(self, spec: LaunchSpec, fields: dict[str, Any], hear: HearInstruction) -> None:
        body = HeartbeatIn(fence_token=spec.fence_token, **fields)
        self.told.beats.append((Beat(spec.run_id, spec.fence_token, body.read_report()), hear))

    def finish(self, spec: LaunchSpec, outcome: str, error: dict[str, str] | None, fields: dict[str, Any]) -> None:
        body = FinishIn.model_validate(
            {"fence_token": spec.fence_token, "outcome": outcome, "error": error, **fields},
        )
        self.told.ends.append(
            Finish(spec.run_id, spec.fence_token, RunStatus(outcome), body.read_report(), error),
        )

    async def deliver(self) -> None:
        """Deliver all that was reported, and what is reported at once by those who have heard their answer."""
        while self.told:
            told, self.told = self.told, Told()
            stored = [(each, await self._store(each)) for each in told.uploads]
            async with self.house.system.work() as work:
                for upload, kept in stored:
                    await _keep(work, upload, kept)
                instructed = await take_heartbeats(work, [beat for beat, _hear in told.beats]) if told.beats else ()
                alone = await _end_together(work, told.ends)
            await self._end_alone(alone)
            for (_beat, hear), instruction in zip(told.beats, instructed, strict=True):
                if isinstance(instruction, Instruction):
                    await hear(instruction)

    async def _store(self, upload: Upload) -> StoredObject:
        sha256, run_id = hashlib.sha256(upload.content).hexdigest(), upload.spec.run_id
        services, content = self.house.system.services, _send(upload.content)
        if upload.step is None:
            return await receive_adapter(services, run_id, content, sha256)
        return await receive_checkpoint(services, run_id, upload.step, content, sha256)

    async def _end_alone(self, ends: Sequence[Finish]) -> None:
        """End what does not end with others, each in a transaction of its own, as the services ask for it."""
        for end in ends:
            async with self.house.system.work() as work:
                await finish_run(work, end)


async def _send(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _keep(work: Work, upload: Upload, stored: StoredObject) -> None:
    """Keep an upload, unless its run has ended without it."""
    spec = upload.spec
    try:
        if upload.step is None:
            await keep_adapter(work, spec.run_id, spec.fence_token, stored)
        else:
            await keep_checkpoint(work, spec.run_id, spec.fence_token, upload.step, stored)
    except DomainError:
        await work.storage.delete(stored.key)


async def _end_together(work: Work, ends: Sequence[Finish]) -> list[Finish]:
    """End runs in one go; returns those that end by themselves. Raises: DomainError, for what no run may tell."""
    if not ends:
        return []
    found = await work.run_together(lock_runs([end.run_id for end in ends], seen_by=work.seen_by))
    answers: Sequence[RunEnd | Exception] = await take_finishes([(work, end) for end in ends], found)
    return [end for end, answer in zip(ends, answers, strict=True) if isinstance(answer, EndsAlone)]
