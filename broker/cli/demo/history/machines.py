"""Machines of a history: pools with the real agents, whose engine only notes which runs it was asked to start."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from broker.capacity.agents import renew_agent
from broker.capacity.model import SIMULATED
from broker.cli.demo.history.house import MADE_UP, House
from broker.execution.engine import Capacity, LaunchSpec, RunObservation, RunState
from broker.execution.identity import AgentIdentity
from broker.execution.membership import Membership
from broker.execution.pool_agent import PoolAgent
from broker.scheduling.cycle.live import CycleResult, run_cycle
from broker.scheduling.cycle.memory import CycleMemory
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.scheduling.cycle.usage import UsageReading

POOLS = {"rtx-4090": 6, "rtx-3090": 4, "a100-80g": 3}
KILLED = -9


def name_pool(sku: str) -> str:
    return f"{MADE_UP.replace(' ', '-')}-{sku}"


@dataclass
class NotedEngine:
    """An engine of devices that there are none of: it notes what it was asked to start, and what has gone wrong."""

    offered: Capacity
    launched: list[LaunchSpec] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)

    async def capacity(self) -> Capacity:
        return self.offered

    async def launch(self, spec: LaunchSpec) -> str:
        self.launched.append(spec)
        self.alive.add(spec.run_id)
        return spec.run_id

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        """Do nothing: a run is told to stop by the answer to its next heartbeat, and saves."""

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        return [self._observe(run_id) for run_id in run_ids]

    def _observe(self, run_id: str) -> RunObservation:
        if run_id in self.broken:
            return RunObservation(run_id, RunState.EXITED, KILLED, "the machine of this made-up run was lost")
        return RunObservation(run_id, RunState.ALIVE)

    async def close(self) -> None:
        """Let go of nothing."""


@dataclass
class Machines:
    """The pools of a history, and the planner with what it remembers from one cycle to the next."""

    house: House
    agents: dict[str, PoolAgent]
    engines: dict[str, NotedEngine]
    recorder: CycleRecorder = field(default_factory=CycleRecorder)
    usage: UsageReading = field(default_factory=UsageReading)
    memory: CycleMemory = field(default_factory=CycleMemory)
    has_news: bool = False
    waiting: int = 0

    def note_free(self) -> None:
        """Note that devices are free again: whoever waits may start on them."""
        self.has_news = self.has_news or self.waiting > 0

    @classmethod
    async def install(cls, house: House) -> "Machines":
        """Register a pool of each type with an agent of its own."""
        agents, engines = dict[str, PoolAgent](), dict[str, NotedEngine]()
        for number, (sku, gpus) in enumerate(POOLS.items(), start=1):
            name = name_pool(sku)
            identity = AgentIdentity(house.system.services.new_id("agt"), f"{name}-host", f"boot-{number}", f"/{name}")
            engines[name] = NotedEngine(Capacity(sku, gpus))
            own: dict[str, Any] = {"identity": identity, "membership": Membership(house.system)}
            agents[name] = PoolAgent(house.system, name, engines[name], engine_name=SIMULATED, **own)
            await agents[name].register()
        return cls(house, agents, engines)

    async def renew(self) -> None:
        """Say of every agent that it is there."""
        async with self.house.system.work() as work:
            for agent in self.agents.values():
                assert agent.membership.card is not None, "it was registered"
                await renew_agent(work, agent.membership.card, 0.4)

    async def plan(self) -> list[tuple[str, LaunchSpec]]:
        """Run a cycle, and hand what it decided to the engines; returns the runs that begin, with their pools."""
        async with self.house.system.work() as work:
            result: CycleResult = await run_cycle(work, self.usage, self.recorder, self.memory)
        self.waiting = result.waiting
        if not result.started:
            return []
        begun: list[tuple[str, LaunchSpec]] = []
        for name, agent in self.agents.items():
            await agent.relay()
            launched, self.engines[name].launched = self.engines[name].launched, []
            begun += [(name, spec) for spec in sorted(launched, key=lambda spec: spec.run_id)]
        return begun

    async def lose(self, pool: str, run_id: str) -> None:
        """Lose the machine of a run: its agent finds it gone."""
        self.engines[pool].broken.add(run_id)
        await self.agents[pool].watch()

    async def leave(self) -> None:
        """Say goodbye: the machines were made up, and start nothing after the history."""
        for agent in self.agents.values():
            await agent.relay()
            await agent.membership.leave()
            await agent.close()
