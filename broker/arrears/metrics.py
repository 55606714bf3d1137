"""Contracts in each state of arrears, for Prometheus, as of the last reading of the database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.arrears.service import count_states
from broker.contracts.terms.arrears import ArrearsState
from broker.system import System


@dataclass
class ArrearsReading:
    """How many contracts are in each state; those that never were behind are not counted."""

    counts: Mapping[str, int] = field(default_factory=dict)

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.counts = await count_states(work)


class ArrearsCollector(Collector):
    """Collects the last reading."""

    def __init__(self, reading: ArrearsReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "broker_arrears_contracts", "Contracts that are or were in arrears, by state.", labels=["state"]
        )
        for state in ArrearsState:
            family.add_metric([state.value], self.reading.counts.get(state.value, 0))
        yield family
