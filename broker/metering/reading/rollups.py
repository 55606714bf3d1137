"""Adding up usage from its sums by the hour: a page of groups, and the sums of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, String, Subquery, case, column, func, literal, select, tuple_, values

from broker.http.labels import read_label
from broker.metering.reading.grouping import LABEL_PREFIX, UsageFilter, Window, read_cursor, write_cursor
from broker.metering.tables import UsageRollup
from broker.work import Work
from pricing.usage import METERS, Unit, Usage

METER = values(column("meter", String), name="meters").data([(meter.value,) for meter in METERS])
PERIOD_FORMATS = {"day": "YYYY-MM-DD", "month": "YYYY-MM"}


@dataclass(frozen=True)
class UsageGroup:
    """What was used by those whom the values of the groups name, in their order; '' stands for none."""

    values: tuple[str, ...]
    usage: Usage
    events: int


@dataclass(frozen=True)
class UsageGroups:
    """One page of groups. `total` is the usage of all of them; `next_cursor` None: no more."""

    groups: list[UsageGroup]
    next_cursor: str | None
    total: Usage


async def add_up_usage(
    work: Work, groups: Sequence[str], window: Window, chosen: UsageFilter, *, limit: int, cursor: str | None
) -> UsageGroups:
    """Add up usage by groups, in the order of their values, after those that the cursor names.

    Raises: InvalidRequest.
    """
    rollups = _select_rollups(window, chosen)
    total = select(func.coalesce(func.sum(rollups.c.gpu_seconds), 0), func.coalesce(func.sum(rollups.c.tokens), 0))
    whole = Usage(*map(int, (await work.session.execute(total)).one()))
    query = _group(rollups, groups, window)
    if cursor is not None and groups:
        after = [literal(value) for value in read_cursor(cursor, len(groups))]
        query = query.having(tuple_(*query.selected_columns[: len(groups)]) > tuple_(*after))
    rows = [_to_group(row, len(groups)) for row in await work.session.execute(query.limit(limit + 1))]
    more = write_cursor(rows[limit - 1].values) if len(rows) > limit else None
    return UsageGroups(rows[:limit], more, whole)


def _to_group(row: Any, count: int) -> UsageGroup:
    gpu_seconds, tokens, events = row[count:]
    return UsageGroup(tuple(row[:count]), Usage(int(gpu_seconds), int(tokens)), int(events))


def _select_rollups(window: Window, chosen: UsageFilter) -> Subquery:
    query = select(*UsageRollup.__table__.columns).select_from(UsageRollup)
    if window.since is not None:
        query = query.where(UsageRollup.hour >= window.since)
    if window.until is not None:
        query = query.where(UsageRollup.hour < window.until)
    for name in ("customer_id", "contract_id", "project_id", "job_id", "source", "gpu_type"):
        wanted = getattr(chosen, name)
        if wanted is not None:
            query = query.where(getattr(UsageRollup, name) == wanted)
    label = read_label(chosen.label)
    if label is not None:
        query = query.where(UsageRollup.labels[label[0]].astext == label[1])
    return query.subquery()


def _group(rollups: Subquery, groups: Sequence[str], window: Window) -> Select[Any]:
    keys = [_describe(rollups, group, window).label(f"key_{place}") for place, group in enumerate(groups)]
    sums = [_add_up(rollups, meter, groups) for meter in METERS]
    asked: list[ColumnElement[Any]] = [*keys, *sums, func.sum(rollups.c.events)]
    query: Select[Any] = select(*asked).select_from(rollups)
    if "meter" in groups:
        query = query.join(METER, literal(value=True)).having(sums[0] + sums[1] > 0)
    if not keys:
        return query.having(func.count() > 0)
    return query.group_by(*keys).order_by(*keys)


def _add_up(rollups: Subquery, meter: Unit, groups: Sequence[str]) -> ColumnElement[Any]:
    quantity = rollups.c[meter.value]
    if "meter" in groups:
        return func.sum(case((METER.c.meter == meter.value, quantity), else_=0))
    return func.sum(quantity)


def _describe(rollups: Subquery, group: str, window: Window) -> ColumnElement[str]:
    """Describe what usage is told apart by, as text."""
    if group == "meter":
        return METER.c.meter
    if group == "hour":
        return func.to_char(func.timezone("UTC", rollups.c.hour), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    if group in PERIOD_FORMATS:
        return func.to_char(func.timezone(window.time_zone, rollups.c.hour), PERIOD_FORMATS[group])
    if group.startswith(LABEL_PREFIX):
        return func.coalesce(rollups.c.labels[group.removeprefix(LABEL_PREFIX)].astext, "")
    name = group if group in {"source", "gpu_type"} else f"{group}_id"
    return rollups.c[name]
