"""Metrics of agents and pools for Prometheus, as of the last reading. Machines are not named: anybody may read them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.capacity import agents, readiness
from broker.capacity.model import AgentState
from broker.capacity.readiness import JudgedPool
from broker.capacity.tables import Agent
from broker.system import System

TOLD_AFTER_THE_END = timedelta(hours=1)  # an alarm needs to see that an agent is gone before it is told no more


@dataclass
class CapacityReading:
    """The agents that are there or were lately, each as it is judged, and the pools."""

    agents: list[tuple[Agent, AgentState]] = field(default_factory=list)
    pools: list[JudgedPool] = field(default_factory=list)

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            recent = await agents.list_recent_agents(work, since=work.now - TOLD_AFTER_THE_END)
            self.agents = [(agent, agents.judge(work, agent)) for agent in recent]
            self.pools = await readiness.list_pools(work)


@dataclass(eq=False)
class CapacityCollector(Collector):
    """Collects the last reading."""

    reading: CapacityReading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        own = ["agent", "pool"]
        seen = GaugeMetricFamily(
            "broker_agent_last_seen_timestamp_seconds", "When the agent was seen last.", labels=own
        )
        devices = GaugeMetricFamily("broker_agent_devices", "Devices of the agent, busy ones included.", labels=own)
        state = GaugeMetricFamily(
            "broker_agent_info", "1, with the agent's version and state.", labels=[*own, "version", "state"]
        )
        for agent, judged in self.reading.agents:
            seen.add_metric([agent.id, agent.pool], agent.last_seen_at.timestamp())
            devices.add_metric([agent.id, agent.pool], agent.gpus)
            state.add_metric([agent.id, agent.pool, agent.version, judged.value], 1)
        ready = GaugeMetricFamily("broker_pool_ready", "Whether the pool takes jobs.", labels=["pool", "state"])
        for pool in self.reading.pools:
            ready.add_metric([pool.pool.name, pool.readiness.value], int(pool.is_ready))
        yield from (seen, devices, state, ready)
