"""Telling contracts and ops where machines that failed leave fewer GPUs than are guaranteed; and when all is back.

Told once it has lasted a minute: a broker or an agent that starts anew is no failure.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.capacity import readiness
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, read_last_events, record_contract_event
from broker.scheduling.cycle.guarantees import read_guarantees
from broker.scheduling.cycle.snapshot import read_pools
from broker.scheduling.planning.values.queues import Guarantee
from broker.work import Work

log = logging.getLogger(__name__)

SHORTFALL_TURN = 7_203_118
TOLD_AFTER = timedelta(minutes=1)
KINDS = (ContractEventKind.GUARANTEE_SHORT, ContractEventKind.GUARANTEE_RESTORED)

# A contract and a GPU type.
Of = tuple[str, str]


@dataclass(frozen=True)
class Notice:
    """What a contract is to be told: how many GPUs of a type it is guaranteed, and how many of them are there."""

    contract_id: str
    gpu_type: str
    guaranteed: int
    available: int

    @property
    def kind(self) -> ContractEventKind:
        is_short = self.available < self.guaranteed
        return ContractEventKind.GUARANTEE_SHORT if is_short else ContractEventKind.GUARANTEE_RESTORED

    @property
    def facts(self) -> dict[str, int | str]:
        return {"gpu_type": self.gpu_type, "guaranteed": self.guaranteed, "available": self.available}


@dataclass
class ShortfallWatch:
    """What this process sees differ from what was told last, and since when."""

    since: dict[Of, tuple[int, datetime]] = field(default_factory=dict)

    def find_notices(
        self, guaranteed: Mapping[str, Iterable[Guarantee]], told: Mapping[Of, int], now: datetime
    ) -> list[Notice]:
        """Find what is to be told now. `told`: how many were there by the last word, of those that were told any."""
        notices = [_describe(contract_id, each) for contract_id, own in guaranteed.items() for each in own]
        differing = {
            (each.contract_id, each.gpu_type): each
            for each in notices
            if told.get((each.contract_id, each.gpu_type), each.guaranteed) != each.available
        }
        self.since = {of: self._find_since(of, each.available, now) for of, each in differing.items()}
        return [each for of, each in differing.items() if now - self.since[of][1] >= TOLD_AFTER]

    def _find_since(self, of: Of, available: int, now: datetime) -> tuple[int, datetime]:
        known = self.since.get(of)
        return known if known is not None and known[0] == available else (available, now)


def _describe(contract_id: str, guarantee: Guarantee) -> Notice:
    promised = guarantee.gpus if guarantee.promised is None else guarantee.promised
    return Notice(contract_id, guarantee.sku, promised, guarantee.gpus)


async def tell_shortfalls(work: Work, watch: ShortfallWatch) -> list[Notice]:
    """Tell contracts what they are guaranteed and what of it is there, where that has changed for long enough."""
    pools, _holders = await read_pools(work, await readiness.list_pools(work))
    guaranteed = await read_guarantees(work, await capacity.list_queues(work), pools)
    if not guaranteed:
        return []
    await work.take_turn(SHORTFALL_TURN)
    notices = watch.find_notices(guaranteed, await _read_told(work, guaranteed), work.now)
    terms = await contracts.load_terms(work, {each.contract_id for each in notices})
    for each in notices:
        told = "contract %s has %d of the %d GPUs of %s that it is guaranteed"
        log.warning(told, each.contract_id, each.available, each.guaranteed, each.gpu_type)
        await record_contract_event(work, terms[each.contract_id], each.kind, each.facts)
    return notices


async def _read_told(work: Work, contract_ids: Collection[str]) -> dict[Of, int]:
    """Read how many GPUs contracts were told last that are there, by type."""
    events = await read_last_events(work, contract_ids, KINDS, of="gpu_type")
    return {(event.contract_id, event.data["gpu_type"]): event.data["available"] for event in events}
