"""Metrics of the service as a whole for Prometheus, as of the last reading: cycles, the books, the outbox, runs' ends.

They name no customer and no machine: anybody may read them. Where nothing was done yet, nothing is told of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.jobs.reading.run_counts import count_ends, count_held
from broker.persistence.marks import PLANNED, VERIFIED, Mark, read_marks
from broker.persistence.outbox import Pending, add_up_pending
from broker.system import System

LATELY = timedelta(hours=1)


@dataclass
class ServiceReading:
    """What is read of the service at one moment; `at` None: nothing yet."""

    at: datetime | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)
    ends: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.marks = await read_marks(work.session)
            self.pending = await add_up_pending(work.session)
            self.ends = await count_ends(work, since=work.now - LATELY)
            self.held = await count_held(work)
            self.at = work.now


@dataclass(eq=False)
class ServiceCollector(Collector):
    """Collects the last reading."""

    reading: ServiceReading

    def collect(self) -> Iterator[Metric]:
        if self.reading.at is None:
            return
        yield from self._tell_cycles()
        yield from self._tell_books()
        yield from self._tell_outbox(self.reading.at)
        ends = GaugeMetricFamily(
            "broker_runs_ended_last_hour", "Runs that ended within the last hour, by cause.", labels=["cause"]
        )
        for cause, number in sorted(self.reading.ends.items()):
            ends.add_metric([cause], number)
        held = GaugeMetricFamily("broker_pool_devices_held", "Devices of the pool that runs hold.", labels=["pool"])
        for pool, number in sorted(self.reading.held.items()):
            held.add_metric([pool], number)
        yield from (ends, held)

    def _tell_cycles(self) -> Iterator[Metric]:
        mark = self.reading.marks.get(PLANNED)
        yield GaugeMetricFamily(
            "broker_planner_last_cycle_timestamp_seconds",
            "When a scheduling cycle was planned last, by whatever process; noted once a second at most.",
            None if mark is None else mark.noted_at.timestamp(),
        )
        yield CounterMetricFamily(
            "broker_planner_takeovers",
            "How often planning went over to another process.",
            None if mark is None else mark.takeovers,
        )

    def _tell_books(self) -> Iterator[Metric]:
        mark = self.reading.marks.get(VERIFIED)
        yield GaugeMetricFamily(
            "broker_books_verified_timestamp_seconds",
            "When the books were verified.",
            None if mark is None else mark.noted_at.timestamp(),
        )
        yield GaugeMetricFamily(
            "broker_books_differences",
            "Rows that broke a rule of the books then; `broker ledger verify` names them.",
            None if mark is None else mark.value,
        )

    def _tell_outbox(self, at: datetime) -> Iterator[Metric]:
        pending = self.reading.pending
        age = timedelta() if pending.oldest_at is None else max(timedelta(), at - pending.oldest_at)
        yield GaugeMetricFamily("broker_outbox_pending", "Messages to engines that are not delivered.", pending.count)
        yield GaugeMetricFamily(
            "broker_outbox_oldest_age_seconds", "Age of the oldest of them; 0: there is none.", age.total_seconds()
        )
