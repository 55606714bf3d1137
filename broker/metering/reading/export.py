"""Exporting usage events as they were reported, a piece at a time: however many there are, few are in memory."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Select, select, tuple_

from broker.metering.tables import UsageEvent
from broker.work import Work

PIECE = 1000
COLUMNS = (
    "source",
    "event_id",
    "customer_id",
    "contract_id",
    "project_id",
    "job_id",
    "run_id",
    "sequence",
    "corrects",
    "gpu_type",
    "labels",
    "gpu_seconds",
    "tokens",
    "started_at",
    "ended_at",
    "received_at",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """Which events are exported: those that ended in a window, of a customer and contract or of all."""

    since: datetime
    until: datetime
    customer_id: str | None = None
    contract_id: str | None = None


class Looks(Protocol):
    """Whoever opens short transactions, in which the exporting actor sees what it may."""

    def look(self) -> AbstractAsyncContextManager[Work]: ...


async def read_pieces(looks: Looks, export: Export) -> AsyncIterator[list[Row]]:
    """Read events in the order of their ends, a piece in each transaction: no slow reader holds one open."""
    after: tuple[Any, ...] | None = None
    while True:
        async with looks.look() as work:
            rows = [dict(row._mapping) for row in await work.session.execute(_select(export, after))]  # noqa: SLF001
        if rows:
            yield rows
        if len(rows) < PIECE:
            return
        last = rows[-1]
        after = (last["ended_at"], last["source"], last["event_id"])


def _select(export: Export, after: tuple[Any, ...] | None) -> Select[Any]:
    order = (UsageEvent.ended_at, UsageEvent.source, UsageEvent.event_id)
    columns = [getattr(UsageEvent, name) for name in COLUMNS]
    query = select(*columns).where(UsageEvent.ended_at >= export.since, UsageEvent.ended_at < export.until)
    if export.customer_id is not None:
        query = query.where(UsageEvent.customer_id == export.customer_id)
    if export.contract_id is not None:
        query = query.where(UsageEvent.contract_id == export.contract_id)
    if after is not None:
        query = query.where(tuple_(*order) > after)
    return query.order_by(*order).limit(PIECE)


def write_line(row: Mapping[str, Any]) -> str:
    """Write an event as one line of JSON."""
    return json.dumps({name: _write_value(value) for name, value in row.items()}, ensure_ascii=False) + "\n"


def flatten(row: Mapping[str, Any]) -> Row:
    """Make the cells of a table out of an event: moments as ISO 8601, labels as JSON."""
    cells = {name: _write_value(value) for name, value in row.items()}
    return cells | {"labels": json.dumps(row["labels"], ensure_ascii=False, sort_keys=True)}


def _write_value(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
