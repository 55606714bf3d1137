"""Training of a history: each run loads, reports its usage and ends as its job's fate has it, by the worker protocol.

Nothing trains. The broker hears what a trainer would tell it, at the virtual times at which it would, but for a tick:
what happens within one is told together at its end.
"""

import tarfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from random import Random
from typing import Any

from broker.cli.demo.history.course import FAILURES, Course, Fate
from broker.cli.demo.history.house import House
from broker.cli.demo.history.machines import Machines
from broker.cli.demo.history.materials import draw_sample, write_adapter
from broker.cli.demo.history.reporting import Reporting
from broker.cli.demo.history.timeline import Act, find_tick
from broker.cli.demo.history.voices import Refused
from broker.execution.engine import LaunchSpec
from broker.jobs.rules.model import StopReason
from broker.workers.model import Instruction

# Runs report at the same full hours: so one transaction takes what all of them have to tell.
BEAT = timedelta(hours=6)
LOADING, STOPPING = timedelta(seconds=60), timedelta(seconds=15)
TOTAL_STEPS = 1000


@dataclass(frozen=True)
class Floor:
    """Where runs are played: their machines, and who takes what they report."""

    house: House
    machines: Machines
    reporting: Reporting

    @property
    def now(self) -> datetime:
        return self.house.clock.now


@dataclass
class PlayedRun:
    """One run as it goes. `done` is the share of its job that it has reported, `since` when its next interval began."""

    floor: Floor
    course: Course
    pool: str
    spec: LaunchSpec
    lot: Random
    fate: Fate
    seconds: int
    ends_at: float = 1.0
    done: float = 0.0
    since: datetime | None = None
    sequence: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, floor: Floor, course: Course, pool: str, spec: LaunchSpec) -> "PlayedRun":
        """Begin a run on a machine: with its first report, while it loads, it claims its job."""
        course.runs += 1
        lot = floor.house.lot_of("run", course.job_id, course.runs)
        fate = course.fate if course.runs == 1 or course.fate in FAILURES else Fate.SUCCEED
        estimate = course.seconds.get(floor.machines.engines[pool].offered.sku, max(course.seconds.values()))
        seconds = max(60, int(estimate * course.pace * lot.uniform(0.98, 1.02)))
        played = cls(floor, course, pool, spec, lot, fate, seconds)
        if fate is not Fate.SUCCEED:
            played.ends_at = course.saved + (1 - course.saved) * lot.uniform(0.25, 0.8)
        played.at_tick(floor.now + LOADING, played.load)
        return played

    def at_tick(self, moment: datetime, act: Act) -> None:
        """Plan an act for the end of the tick that a moment lies in."""
        self.floor.house.timeline.at(find_tick(moment), act)

    async def load(self) -> None:
        self.since, self.done = self.floor.now, self.course.saved
        self.floor.reporting.beat(self.spec, {}, self._hear(self._go_on))

    def _plan_next(self) -> None:
        """Plan the end, or a report before it where it is far."""
        assert self.since is not None, "it has loaded"
        ends = self.since + timedelta(seconds=int((self.ends_at - self.done) * self.seconds))
        beat = find_tick(self.since + BEAT / 8, BEAT)
        if ends <= beat:
            self.at_tick(ends, lambda: self.end(ends))
        else:
            self.floor.house.timeline.at(beat, self.beat)

    async def beat(self) -> None:
        """Report what was used since, with a checkpoint now and then; stop where the answer says so."""
        saves = self.fate is not Fate.SUCCEED or self.lot.random() < 0.2
        event = self.measure(self.floor.now, saves=saves)
        if saves:
            self.save()
        self.report(event, self._go_on)

    async def _go_on(self) -> None:
        self._plan_next()

    def report(self, event: dict[str, Any], go_on: Act) -> None:
        """Report usage; what follows depends on the answer."""
        self.floor.reporting.beat(self.spec, self.describe(event), self._hear(go_on))

    def _hear(self, go_on: Act) -> Callable[[Instruction], Awaitable[None]]:
        """Hear whether to go on: a run that is told to stop does so."""

        async def hear(instruction: Instruction) -> None:
            if instruction.stop_reason is None:
                await go_on()
            else:
                reason = instruction.stop_reason
                self.floor.house.timeline.at(self.floor.now + STOPPING, lambda: self.stop(reason))

        return hear

    async def stop(self, reason: StopReason) -> None:
        """Save and end, as the broker asks; of those that leave for others some do not get to save in time."""
        saves = reason != StopReason.PREEMPT or self.lot.random() < 0.5
        event = self.measure(self.floor.now, saves=saves)
        if saves:
            self.save()
        self.finish("stopped", event)

    async def end(self, moment: datetime) -> None:
        """End as the fate has it, with what was used up to a moment of the last tick."""
        fate, event = self.fate, self.measure(moment, saves=False)
        if fate is Fate.LOSE:
            self.report(event, self.lose)
        elif fate in FAILURES:
            error = {"code": fate.value, "message": FAILURES[fate].format(step=self.step)}
            self.finish("failed", event, error)
        elif fate in {Fate.CANCEL, Fate.PAUSE}:
            self.report(event, self.ask_customer)
        elif fate is Fate.SHUT_DOWN:
            self.finish("preempted", event, {"code": "shutdown", "message": "its machine is restarted"})
        else:
            self.succeed(event)

    async def lose(self) -> None:
        """Be lost with the machine: nothing more is heard of this run."""
        await self.floor.machines.lose(self.pool, self.spec.run_id)
        self.floor.machines.has_news = True

    async def ask_customer(self) -> None:
        """Let the customer cancel or pause the job, and stop at the next report; what was paused goes on later."""
        await self.course.voice.post(f"/jobs/{self.course.job_id}/{self.fate.value}")
        self.at_tick(self.floor.now + LOADING, self.beat)
        if self.fate is Fate.PAUSE:
            self.at_tick(self.floor.now + timedelta(hours=self.lot.randrange(3, 30)), self.resume)

    async def resume(self) -> None:
        """Resume the paused job, where its contract still pays for it."""
        try:
            await self.course.voice.post(f"/jobs/{self.course.job_id}/resume")
        except Refused:
            return
        self.floor.machines.has_news = True

    def succeed(self, event: dict[str, Any]) -> None:
        if self.lot.random() < 0.15:
            prompt = {"step": self.step, "prompt": "a teapot on a wet street (made up)"}
            self.samples.append({**prompt, "image": draw_sample(self.lot)})
        self.floor.reporting.upload(self.spec, write_adapter(self.course.job_id, self.course.rank))
        self.finish("succeeded", event)

    def measure(self, until: datetime, *, saves: bool) -> dict[str, Any]:
        """Measure the interval since the last one, up to a moment; it is cut at a checkpoint where one is saved."""
        started_at, before = self.since, self.done
        assert started_at is not None, "it has loaded"
        seconds = int((until - started_at).total_seconds())
        self.done = min(self.ends_at, before + seconds / self.seconds)
        tokens = int(self.course.tokens * self.done) - int(self.course.tokens * before)
        gpu_seconds = seconds * self.spec.gpus
        times = {"started_at": started_at.isoformat(), "ended_at": until.isoformat()}
        data: dict[str, Any] = {"sequence": self.sequence, **times, "gpu_seconds": gpu_seconds, "tokens": tokens}
        if saves:
            data["checkpoint_step"] = self.step
        self.since, self.sequence = until, self.sequence + 1
        run_id = self.spec.run_id
        self.course.reported.append((run_id, self.sequence - 1, gpu_seconds))
        named = {"id": f"{run_id}/{data['sequence']}", "source": f"/runs/{run_id}", "subject": run_id}
        return {"specversion": "1.0", "type": "lora.usage.interval", **named, "time": until.isoformat(), "data": data}

    @property
    def step(self) -> int:
        return int(self.done * TOTAL_STEPS)

    def save(self) -> None:
        """Upload a checkpoint: from then on the customer keeps what was trained."""
        self.floor.reporting.upload(self.spec, _pack(self.course.job_id, self.step), self.step)
        self.course.saved = self.done

    def describe(self, event: dict[str, Any]) -> dict[str, Any]:
        """Describe how training goes, with what was used."""
        loss = round(2.4 - 1.3 * self.done + self.lot.uniform(-0.05, 0.05), 4)
        progress = {"step": self.step, "total_steps": TOTAL_STEPS, "loss": loss}
        validations = [{"step": self.step, "loss": round(loss + 0.12, 4)}] if self.lot.random() < 0.2 else []
        samples, self.samples = self.samples, []
        return {"progress": progress, "usage": [event], "validations": validations, "samples": samples}

    def finish(self, outcome: str, event: dict[str, Any], error: dict[str, str] | None = None) -> None:
        self.floor.reporting.finish(self.spec, outcome, error, self.describe(event))
        if outcome == "preempted":
            self.floor.machines.has_news = True
        self.floor.machines.note_free()


def _pack(job_id: str, step: int) -> bytes:
    """Pack what stands for a checkpoint: a tar with a line of text."""
    buffer, told = BytesIO(), f"made up: {job_id}, step {step}\n".encode()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("made-up.txt")
        entry.size = len(told)
        archive.addfile(entry, BytesIO(told))
    return buffer.getvalue()
