"""When a job that came now would start: published by the scheduling cycle, read by quotes and admission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, ScalarSelect, case, func, literal, or_, select

from broker.capacity.model import QueueState
from broker.capacity.tables import Queue, StartForecast
from broker.work import Work

# A start that moved by less is not published again: otherwise every cycle would write every row.
TOLERANCE = timedelta(seconds=10)


@dataclass(frozen=True)
class ExpectedStart:
    """When a job is expected to start: half of such jobs have by p50, nine of ten by p90. None: nobody knows."""

    p50: datetime | None
    p90: datetime | None

    def not_before(self, now: datetime) -> "ExpectedStart":
        """Move what is over to now."""
        return ExpectedStart(*(None if told is None else max(told, now) for told in (self.p50, self.p90)))


# By queue, SKU and how many GPUs.
ExpectedStarts = Mapping[tuple[str, str, int], ExpectedStart]


@dataclass(frozen=True)
class QueueStarts:
    """When a job that entered a queue would start on each GPU type, by its SKU."""

    queue: str
    by_type: Mapping[str, ExpectedStart]

    def to_json(self) -> dict[str, Any]:
        told = {sku: [_write(start.p50), _write(start.p90)] for sku, start in self.by_type.items()}
        return {"queue": self.queue, "by_type": told}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "QueueStarts":
        told = {sku: ExpectedStart(_read(p50), _read(p90)) for sku, (p50, p90) in written["by_type"].items()}
        return cls(written["queue"], told)


class Newcomer(Protocol):
    """What a cycle forecasts of a job that came now."""

    @property
    def priority(self) -> int: ...
    @property
    def sku(self) -> str: ...
    @property
    def gpus(self) -> int: ...
    @property
    def p50(self) -> datetime | None: ...
    @property
    def p90(self) -> datetime | None: ...


async def publish_starts(work: Work, forecasts: Sequence[Newcomer]) -> None:
    """Publish the starts that a cycle forecasts, in the place of those of the one before; what has moved is written."""
    known = {(row.priority, row.sku, row.gpus): row for row in await work.session.scalars(select(StartForecast))}
    for told in forecasts:
        row = known.pop((told.priority, told.sku, told.gpus), None)
        if row is None:
            keys = {"priority": told.priority, "sku": told.sku, "gpus": told.gpus}
            work.session.add(StartForecast(**keys, p50=told.p50, p90=told.p90, created_at=work.now))
        elif has_moved(row.p50, told.p50, work.now) or has_moved(row.p90, told.p90, work.now):
            row.p50, row.p90 = told.p50, told.p90
    for row in known.values():
        await work.session.delete(row)
    await work.session.flush()


def has_moved(before: datetime | None, after: datetime | None, now: datetime) -> bool:
    """Tell whether a start has moved so far that it is told anew; all that are over are at once."""
    if before is None or after is None:
        return before is not after
    return abs(max(before, now) - max(after, now)) >= TOLERANCE


def select_starts(customer_id: ColumnElement[str]) -> ScalarSelect[Any]:
    """Select the starts in the queues that a customer's jobs may enter, as part of a larger statement.

    From a queue that is not open nothing starts, and nobody knows when it will.
    """
    is_open = Queue.state == QueueState.OPEN.value
    starts = [case((is_open, start)) for start in (StartForecast.p50, StartForecast.p90)]
    each = func.jsonb_build_array(Queue.name, StartForecast.sku, StartForecast.gpus, *starts)
    entered = or_(Queue.customer_id.is_(None), Queue.customer_id == customer_id)
    joined = select(func.jsonb_agg(each)).join(StartForecast, StartForecast.priority == Queue.priority)
    return joined.where(entered).scalar_subquery()


async def list_starts(work: Work, customer_id: str) -> ExpectedStarts:
    """List the starts in the queues that a customer's jobs may enter."""
    return read_starts(await work.session.scalar(select(select_starts(literal(customer_id)))))


def read_starts(written: Sequence[Sequence[Any]] | None) -> ExpectedStarts:
    """Read what `select_starts` selected."""
    return {(queue, sku, gpus): ExpectedStart(_read(p50), _read(p90)) for queue, sku, gpus, p50, p90 in written or ()}


def find_queue_starts(starts: ExpectedStarts, queue: str, gpus: int, now: datetime) -> QueueStarts | None:
    """Find those of jobs of so many GPUs, or of the next size, in one queue; what is over is now.

    None where nothing is known of it.
    """
    sizes = sorted((size, sku) for name, sku, size in starts if name == queue and size >= gpus)
    own: dict[str, ExpectedStart] = {}
    for size, sku in sizes:
        own.setdefault(sku, starts[queue, sku, size].not_before(now))
    return QueueStarts(queue, own) if own else None


def _write(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _read(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)
