"""When a job that came now would start: published by the scheduling cycle, read by quotes and admission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, ScalarSelect, Table, case, func, literal, or_, select, text

from broker.capacity.model import QueueState
from broker.capacity.tables import Queue, StartForecast
from broker.persistence.driver import Command, Statement, write_rows
from broker.persistence.set_writes import command_inserts, command_updates
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


# By priority, SKU and how many GPUs.
PublishedStarts = Mapping[tuple[int, str, int], ExpectedStart]
PUBLISHED = Statement(
    select(StartForecast.priority, StartForecast.sku, StartForecast.gpus, StartForecast.p50, StartForecast.p90)
)
DELETE = Statement(
    text(
        "DELETE FROM start_forecasts AS kept"
        " USING json_to_recordset(CAST(:rows AS json)) AS told (priority bigint, sku text, gpus bigint)"
        " WHERE kept.priority = told.priority AND kept.sku = told.sku AND kept.gpus = told.gpus"
    )
)


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


async def publish_starts(
    work: Work, forecasts: Sequence[Newcomer], known: PublishedStarts | None = None
) -> PublishedStarts:
    """Publish the starts that a cycle forecasts, in the place of those of the one before; what has moved is written.

    `known` are those that stand, None: they are read. Returns those that stand now, once this is committed.
    """
    if known is None:
        (rows,) = await work.run_together([Command(PUBLISHED)])
        known = {(priority, sku, gpus): ExpectedStart(p50, p90) for priority, sku, gpus, p50, p90 in rows}
    told = {(each.priority, each.sku, each.gpus): ExpectedStart(each.p50, each.p90) for each in forecasts}
    moved = {key: start for key, start in told.items() if key not in known or _differs(known[key], start, work.now)}
    gone = [_name(key) for key in known.keys() - told.keys()]
    if moved or gone:
        written = {key: {**_name(key), "p50": start.p50, "p90": start.p90} for key, start in moved.items()}
        new = [{**row, "created_at": work.now} for key, row in written.items() if key not in known]
        changed = [row for key, row in written.items() if key in known]
        deletes = [Command(DELETE, {"rows": write_rows(gone)})] if gone else []
        table = StartForecast.__table__
        assert isinstance(table, Table)
        updates = command_updates(table, ("p50", "p90"), changed)
        await work.run_together([*deletes, *updates, *command_inserts(StartForecast, new)])
    return {key: moved[key] if key in moved else known[key] for key in told}


def _name(key: tuple[int, str, int]) -> dict[str, Any]:
    priority, sku, gpus = key
    return {"priority": priority, "sku": sku, "gpus": gpus}


def _differs(known: ExpectedStart, told: ExpectedStart, now: datetime) -> bool:
    return has_moved(known.p50, told.p50, now) or has_moved(known.p90, told.p90, now)


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
