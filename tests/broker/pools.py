"""Pools with an agent that is there, without any engine."""

from typing import Any

from broker.capacity.agents import AgentCard, register_agent
from broker.execution.identity import AgentIdentity
from broker.work import Work

MACHINE = AgentIdentity(id="agt_test", host="machine-1", boot_id="boot-1", data_dir="/var/broker")


def make_card(pool: str = "test", **fields: Any) -> AgentCard:
    defaults = vars(MACHINE) | {"engine": "local", "sku": "cpu", "gpus": 1}
    return AgentCard(**{"pool": pool, **defaults, **fields})


async def register_pool(
    work: Work, *, name: str, sku: str = "cpu", engine: str = "local", total_gpus: int = 1
) -> AgentCard:
    """Register a pool of so many devices, with the agent that tests have for it."""
    agent_id = MACHINE.id if name == "test" else f"agt_{name}"
    card = make_card(name, id=agent_id, sku=sku, engine=engine, gpus=total_gpus)
    await register_agent(work, card)
    return card
