"""Training of a history: each run claims, reports its usage and ends as its job's fate has it, by the worker protocol.

Nothing trains. The broker hears what a trainer would tell it, at the virtual times at which it would.
"""

import hashlib
import tarfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from io import BytesIO
from random import Random
from typing import Any

from broker.cli.demo.history.house import House
from broker.cli.demo.history.machines import Machines
from broker.cli.demo.history.materials import draw_sample, write_adapter
from broker.cli.demo.history.voices import Refused, Voice
from broker.execution.engine import LaunchSpec

BEAT_SECONDS = 2 * 3600
TOTAL_STEPS = 1000


class Fate(StrEnum):
    """How the first run of a job goes; further ones go well, but for what is wrong with the job itself."""

    SUCCEED = "succeed"
    BAD_INPUT = "bad_input"
    LOSS_NOT_FINITE = "loss_not_finite"
    OUT_OF_MEMORY = "out_of_memory"
    LOSE = "lose"
    CANCEL = "cancel"
    PAUSE = "pause"
    SHUT_DOWN = "shut_down"


FAILURES = {
    Fate.BAD_INPUT: "a picture of the data set cannot be read; upload it again (made up)",
    Fate.LOSS_NOT_FINITE: "the loss is not finite after step {step}; lower learning_rate (made up)",
    Fate.OUT_OF_MEMORY: "the GPU's memory is full; set batch_size: 2 (made up)",
}


@dataclass
class Course:
    """How far a job is, and what it takes. Units: seconds of one GPU by its type; shares of the whole.

    `reported` are its runs' intervals that somebody may correct later: run, number and GPU-seconds.
    """

    job_id: str
    voice: Voice
    seconds: dict[str, int]
    tokens: int
    rank: int
    fate: Fate
    saved: float = 0.0
    runs: int = 0
    reported: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass
class PlayedRun:
    """One run as it goes. `done` is the share of its job that it has reported, `since` when its next interval began."""

    house: House
    machines: Machines
    course: Course
    pool: str
    spec: LaunchSpec
    lot: Random
    voice: Voice
    fate: Fate
    seconds: int
    ends_at: float = 1.0
    done: float = 0.0
    since: datetime | None = None
    sequence: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, house: House, machines: Machines, course: Course, pool: str, spec: LaunchSpec) -> "PlayedRun":
        """Begin a run on a machine: it claims its job as soon as it has loaded."""
        course.runs += 1
        lot = house.lot_of("run", course.job_id, course.runs)
        fate = course.fate if course.runs == 1 or course.fate in FAILURES else Fate.SUCCEED
        sku = machines.engines[pool].offered.sku
        seconds = max(60, int(course.seconds.get(sku, max(course.seconds.values())) * lot.uniform(0.8, 1.12)))
        played = cls(house, machines, course, pool, spec, lot, house.speak_with(spec.run_token), fate, seconds)
        if fate is not Fate.SUCCEED:
            played.ends_at = course.saved + (1 - course.saved) * lot.uniform(0.25, 0.8)
        played.after(lot.randrange(20, 120), played.claim)
        return played

    def after(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        self.house.timeline.at(self.house.clock.now + timedelta(seconds=int(seconds)), act)

    async def claim(self) -> None:
        """Claim the run; one that was stopped before is over by now."""
        try:
            assignment = await self.tell("claim")
        except Refused:
            return
        self.since, self.done = self.house.clock.now, self.course.saved
        self.sequence = assignment["next_sequence"]
        self._plan_next()

    def _plan_next(self) -> None:
        left = (self.ends_at - self.done) * self.seconds
        if left <= BEAT_SECONDS:
            self.after(left, self.end)
        else:
            self.after(max(BEAT_SECONDS / 2, left / 2), self.beat)

    async def beat(self) -> None:
        """Report what was used since, with a checkpoint now and then; stop where the answer says so."""
        saves = self.fate is not Fate.SUCCEED or self.lot.random() < 0.2
        event = self.measure(saves=saves)
        if saves:
            await self.save()
        try:
            answer = await self.report([event])
        except Refused:
            return  # the run has ended without it
        if answer["command"] == "stop":
            await self.stop()
        else:
            self._plan_next()

    async def stop(self) -> None:
        """Save and end, as the broker asks."""
        self.house.clock.move_to(self.house.clock.now + timedelta(seconds=15))
        event = self.measure(saves=True)
        await self.save()
        await self.finish("stopped", [event])

    async def end(self) -> None:
        """End as the fate has it."""
        fate, event = self.fate, self.measure(saves=False)
        if fate is Fate.LOSE:
            if await self.is_told_to_go_on(event):
                await self.machines.lose(self.pool, self.spec.run_id)
                self.machines.has_news = True
        elif fate in FAILURES:
            error = {"code": fate.value, "message": FAILURES[fate].format(step=self.step)}
            await self.finish("failed", [event], error=error)
        elif fate in {Fate.CANCEL, Fate.PAUSE}:
            await self.ask_customer(event)
        elif fate is Fate.SHUT_DOWN:
            await self.finish("preempted", [event], error={"code": "shutdown", "message": "its machine is restarted"})
        else:
            await self.succeed(event)

    async def is_told_to_go_on(self, event: dict[str, Any]) -> bool:
        """Report once more; a run that is told to stop does so instead of going on."""
        answer = await self.report([event])
        if answer["command"] == "stop":
            await self.stop()
            return False
        return True

    async def ask_customer(self, event: dict[str, Any]) -> None:
        """Let the customer cancel or pause the job, and stop at the next heartbeat; what was paused goes on later."""
        if not await self.is_told_to_go_on(event):
            return
        job = f"/jobs/{self.course.job_id}"
        await self.course.voice.post(f"{job}/{self.fate.value}")
        self.after(20, self.beat)
        if self.fate is Fate.PAUSE:
            self.after(self.lot.randrange(3, 30) * 3600, self.resume)

    async def resume(self) -> None:
        """Resume the paused job, where its contract still pays for it."""
        try:
            await self.course.voice.post(f"/jobs/{self.course.job_id}/resume")
        except Refused:
            return
        self.machines.has_news = True

    async def succeed(self, event: dict[str, Any]) -> None:
        if self.lot.random() < 0.15:
            prompt = {"step": self.step, "prompt": "a teapot on a wet street (made up)"}
            self.samples.append({**prompt, "image": draw_sample(self.lot)})
        await self.upload("adapter", write_adapter(self.course.job_id, self.course.rank))
        await self.finish("succeeded", [event])

    def measure(self, *, saves: bool) -> dict[str, Any]:
        """Measure the interval since the last one, up to now; it is cut at a checkpoint where one is saved."""
        now, started_at, before = self.house.clock.now, self.since, self.done
        assert started_at is not None, "it was claimed"
        seconds = int((now - started_at).total_seconds())
        self.done = min(self.ends_at, before + seconds / self.seconds)
        tokens = int(self.course.tokens * self.done) - int(self.course.tokens * before)
        gpu_seconds = seconds * self.spec.gpus
        times = {"started_at": started_at.isoformat(), "ended_at": now.isoformat()}
        data: dict[str, Any] = {"sequence": self.sequence, **times, "gpu_seconds": gpu_seconds, "tokens": tokens}
        if saves:
            data["checkpoint_step"] = self.step
        self.since, self.sequence = now, self.sequence + 1
        run_id = self.spec.run_id
        self.course.reported.append((run_id, self.sequence - 1, gpu_seconds))
        named = {"id": f"{run_id}/{data['sequence']}", "source": f"/runs/{run_id}", "subject": run_id}
        return {"specversion": "1.0", "type": "lora.usage.interval", **named, "time": now.isoformat(), "data": data}

    @property
    def step(self) -> int:
        return int(self.done * TOTAL_STEPS)

    async def save(self) -> None:
        """Upload a checkpoint: from then on the customer keeps what was trained."""
        await self.upload(f"checkpoints/{self.step}", _pack(self.course.job_id, self.step))
        self.course.saved = self.done

    async def report(self, usage: list[dict[str, Any]]) -> Any:
        return await self.tell("heartbeats", **self.describe(usage))

    def describe(self, usage: list[dict[str, Any]]) -> dict[str, Any]:
        """Describe how training goes, with what was used."""
        loss = round(2.4 - 1.3 * self.done + self.lot.uniform(-0.05, 0.05), 4)
        progress = {"step": self.step, "total_steps": TOTAL_STEPS, "loss": loss}
        validations = [{"step": self.step, "loss": round(loss + 0.12, 4)}] if self.lot.random() < 0.2 else []
        samples, self.samples = self.samples, []
        return {"progress": progress, "usage": usage, "validations": validations, "samples": samples}

    async def finish(self, outcome: str, usage: list[dict[str, Any]], error: dict[str, str] | None = None) -> None:
        await self.tell("finish", outcome=outcome, error=error, **self.describe(usage))
        if outcome == "preempted":
            self.machines.has_news = True
        self.machines.note_free()

    async def tell(self, what: str, **fields: Any) -> Any:
        body = {"fence_token": self.spec.fence_token, **fields}
        return await self.voice.post(f"/runs/{self.spec.run_id}/{what}", body)

    async def upload(self, what: str, content: bytes) -> None:
        headers = {"X-Fence-Token": str(self.spec.fence_token), "X-Content-SHA256": hashlib.sha256(content).hexdigest()}
        await self.voice.put(f"/runs/{self.spec.run_id}/{what}", content, **headers)


def _pack(job_id: str, step: int) -> bytes:
    """Pack what stands for a checkpoint: a tar with a line of text."""
    buffer, told = BytesIO(), f"made up: {job_id}, step {step}\n".encode()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("made-up.txt")
        entry.size = len(told)
        archive.addfile(entry, BytesIO(told))
    return buffer.getvalue()
