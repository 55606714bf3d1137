"""Looking which nodes an engine has, beside the renewals of its agent: one that is away is slow to say so."""

import asyncio
import logging
import math
from dataclasses import dataclass, replace

from broker.capacity.agents import AgentCard
from broker.capacity.model import NodeState
from broker.execution.engine import Capacity, Engine, EngineUnreachable
from broker.execution.membership import Membership
from broker.work import Services

log = logging.getLogger(__name__)

CAPACITY_SECONDS = 10.0  # between two looks


@dataclass
class CapacityWatch:
    """Tells the pool of a membership what its engine has, whenever that has changed."""

    engine: Engine
    membership: Membership
    counted_at: float = -math.inf
    counting: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """Look every so often, one look at a time; returns at once."""
        now, is_looking = self.membership.monotonic(), self.counting is not None and not self.counting.done()
        if not is_looking and now - self.counted_at >= CAPACITY_SECONDS:
            self.counted_at, self.counting = now, asyncio.create_task(self._look())

    async def close(self) -> None:
        if self.counting is not None:
            self.counting.cancel()
            await asyncio.gather(self.counting, return_exceptions=True)

    async def _look(self) -> None:
        """Tell when nodes came or went; while the engine does not answer they are down."""
        card = self.membership.card
        assert card is not None, "the place was taken"
        known, what = Capacity(card.sku, card.gpus, card.nodes), f"counting the nodes of pool {card.pool}"
        try:
            capacity = await self.engine.capacity()
        except EngineUnreachable as error:
            await self._tell(card, known, known.while_unreachable, f": {error}")
        except Exception as error:  # noqa: BLE001 (they are counted again)
            self._services.note_failure(what, error)
        else:
            self._services.failures.settle(what)
            await self._tell(card, known, capacity)

    async def _tell(self, card: AgentCard, known: Capacity, capacity: Capacity, said: str = "") -> None:
        if capacity == known:
            return
        is_open = any(node.state is NodeState.OPEN for node in capacity.nodes)
        log.log(logging.INFO if is_open else logging.ERROR, "the nodes of pool %s changed%s", card.pool, said)
        what = f"telling which nodes pool {card.pool} has"
        try:
            await self.membership.tell(replace(card, gpus=capacity.gpus, nodes=capacity.nodes))
            self._services.failures.settle(what)
        except Exception as error:  # noqa: BLE001 (it is told at the next look)
            self._services.note_failure(what, error)

    @property
    def _services(self) -> Services:
        return self.membership.system.services
