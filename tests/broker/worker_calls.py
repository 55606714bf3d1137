"""The worker's side of the protocol, one run at a time, and an engine that starts nothing."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
from fastapi import FastAPI

from broker.execution.engine import Capacity, EngineUnreachable, LaunchError, LaunchSpec, RunObservation, RunState
from broker.execution.membership import Membership
from broker.execution.pool_agent import PoolAgent
from broker.system import System
from tests.broker.adapter_files import safetensors_file
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, dispatch, usage_event, worker_api
from tests.broker.pools import MACHINE


@dataclass
class Worker:
    """A training process, as the broker sees it."""

    api: Api
    run_id: str
    fence_token: int
    sequence: int = 0

    async def post(self, path: str, *, expect: int = 200, **fields: Any) -> Any:
        return await self.api.post(
            f"/runs/{self.run_id}/{path}", {"fence_token": self.fence_token, **fields}, expect=expect
        )

    async def claim(self, *, expect: int = 200) -> Any:
        return await self.post("claim", expect=expect)

    def interval(self, gpu_seconds: int, tokens: int = 0) -> dict[str, Any]:
        """Measure one more interval on one device; the broker's clock goes on by its time."""
        clock: ManualClock = self.api.app.state.services.clock
        self.sequence += 1
        started_at = clock.now
        clock.advance(seconds=gpu_seconds)
        return usage_event(
            self.run_id, self.sequence - 1, gpu_seconds=gpu_seconds, tokens=tokens, started_at=started_at
        )

    async def beat(self, gpu_seconds: int | None = None, *, step: int = 1, expect: int = 200) -> Any:
        """One heartbeat, with an interval of so many GPU-seconds, or with none."""
        usage = [] if gpu_seconds is None else [self.interval(gpu_seconds)]
        return await self.post("heartbeats", progress={"step": step, "total_steps": 9}, usage=usage, expect=expect)

    async def put(self, path: str, content: bytes, *, expect: int = 201, sha256: str | None = None) -> httpx.Response:
        headers = {
            "X-Fence-Token": str(self.fence_token),
            "X-Content-SHA256": sha256 or hashlib.sha256(content).hexdigest(),
        }
        return await self.api.call(
            "PUT", f"/runs/{self.run_id}/{path}", expect=expect, content=content, headers=headers
        )

    async def finish(self, outcome: str, *, expect: int = 200, **fields: Any) -> Any:
        if outcome == "succeeded" and expect == 200:
            await self.put("adapter", safetensors_file())
        return await self.post("finish", outcome=outcome, expect=expect, **fields)


async def stop_at_a_checkpoint(worker: Worker, *, step: int = 5) -> None:
    """Stop as the broker has told it: with a checkpoint, at which its usage ends, and that is uploaded."""
    last = worker.interval(0)
    last["data"]["checkpoint_step"] = step
    await worker.put(f"checkpoints/{step}", b"state")
    await worker.finish("stopped", usage=[last])


@asynccontextmanager
async def dispatched_worker(
    api: Api, app: FastAPI, system: System, job_id: str, *, sku: str = "cpu"
) -> AsyncIterator[Worker]:
    """Dispatch a job by a cycle over a pool with room for it, and connect the worker of its run, not yet claimed."""
    await dispatch(system, gpus=100, sku=sku)
    async with worker_of(api, app, system, job_id) as worker:
        yield worker


@asynccontextmanager
async def worker_of(api: Api, app: FastAPI, system: System, job_id: str) -> AsyncIterator[Worker]:
    """Connect the worker of a job's last run."""
    run = (await api.get(f"/jobs/{job_id}/runs"))["data"][-1]
    async with worker_api(app, system, run["id"]) as own:
        yield Worker(own, run["id"], run["attempt"])


def make_agent(system: System, engine: "PaperEngine", **fields: Any) -> PoolAgent:
    """Make the agent of the pool `test`, the one that `dispatch` registers unless told otherwise."""
    defaults: dict[str, Any] = {"identity": MACHINE, "membership": Membership(system)}
    return PoolAgent(system, "test", engine, **(defaults | fields))


class EngineFault(RuntimeError):
    """What a broken engine raises."""


@dataclass
class PaperEngine:
    """An engine that only writes down what it is asked. What is in `failing` raises; `alive` lists the runs it has.

    `is_broken`: its machine can start nothing. `is_away`: it does not answer. `waiting`: runs in its own line.
    """

    launched: list[LaunchSpec] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    graces: list[float] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    alive: set[str] = field(default_factory=set)
    exit_codes: dict[str, int] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    is_broken: bool = False
    is_away: bool = False
    offered: Capacity = field(default_factory=lambda: Capacity("cpu", 2))

    async def capacity(self) -> Capacity:
        self._answer()
        return self.offered

    def _answer(self) -> None:
        if self.is_away:
            raise EngineUnreachable("BROKER_ENGINE: nobody answers; look whether it is on")

    async def launch(self, spec: LaunchSpec) -> str:
        if {"launch", spec.run_id} & self.failing:
            raise EngineFault(f"no room for {spec.run_id}")
        if self.is_broken:
            raise LaunchError(spec.run_id, "no such command")
        self.launched.append(spec)
        self.alive.add(spec.run_id)
        return spec.run_id

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        self.graces.append(grace_seconds)
        if {"stop", run_id} & self.failing:
            raise EngineFault(f"cannot stop {run_id}")
        self.stopped.append(run_id)
        self.alive.discard(run_id)

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        self._answer()
        return [self._observe(run_id) for run_id in run_ids]

    async def close(self) -> None:
        pass

    def _observe(self, run_id: str) -> RunObservation:
        if run_id in self.waiting:
            return RunObservation(run_id, RunState.WAITING)
        if run_id in self.alive:
            return RunObservation(run_id, RunState.ALIVE)
        code = self.exit_codes.get(run_id)
        return RunObservation(run_id, RunState.GONE if code is None else RunState.EXITED, code)
