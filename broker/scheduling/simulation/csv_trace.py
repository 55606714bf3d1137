"""Reads a trace from comma-separated values, whose columns and units the caller names. Pure."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from broker.scheduling.simulation.trace import BadLine, BadTrace, Trace, TraceJob, read_gpus, read_lines, read_seconds

ID_COLUMN = "job_id"


class TimeUnit(StrEnum):
    """What a column of times counts in."""

    MILLISECONDS = "ms"
    SECONDS = "s"
    MINUTES = "min"
    HOURS = "h"


SECONDS_OF_UNIT = {TimeUnit.MILLISECONDS: 0.001, TimeUnit.SECONDS: 1, TimeUnit.MINUTES: 60, TimeUnit.HOURS: 3600}


@dataclass(frozen=True)
class TimeColumn:
    """A column of times or lengths of time, and its unit."""

    name: str
    unit: TimeUnit = TimeUnit.SECONDS


@dataclass(frozen=True)
class CsvColumns:
    """Which columns of the file say what; the optional ones are read where they are named.

    The job's id is its column `job_id` where there is one, and the number of its line elsewhere.
    """

    submit: TimeColumn = TimeColumn("submit_time")
    duration: TimeColumn = TimeColumn("duration")
    gpus: str = "num_gpu"
    deadline: TimeColumn | None = None
    asked: TimeColumn | None = None
    owner: str | None = None
    kind: str | None = None

    def list_names(self) -> list[str]:
        named = (self.submit, self.duration, self.deadline, self.asked)
        times = [column.name for column in named if column is not None]
        return [*times, *(name for name in (self.gpus, self.owner, self.kind) if name is not None)]


LONGEST_HEADING = 100_000  # characters


def read_csv(lines: Iterable[str], columns: CsvColumns) -> Trace:
    """Read a trace; a broken line is noted by its number and the rest goes on.

    Raises: BadTrace, where the heading has not each column that is asked for, once.
    """
    rows = iter(lines)
    heading = _read_heading(next(rows, ""), columns.list_names())

    def read(number: int, line: str) -> TraceJob:
        return _read_job(number, _match_fields(heading, line), columns)

    numbered = ((number, line) for number, line in enumerate(rows, start=2) if line.strip())
    return read_lines(numbered, read)


def _read_heading(line: str, asked: Sequence[str]) -> list[str]:
    if len(line) > LONGEST_HEADING:
        raise BadTrace(f"has a heading that cannot be read: {len(line)} characters, {LONGEST_HEADING} at most")
    try:
        heading = _read_row(line)
    except csv.Error as error:
        raise BadTrace(f"has a heading that cannot be read: {error}") from error
    for name in asked:
        if name not in heading:
            raise BadTrace(f"has no column {name!r}; it has {', '.join(heading) or 'no heading'}")
    for name in (ID_COLUMN, *asked):
        if heading.count(name) > 1:
            raise BadTrace(f"has several columns {name!r}; rename those that are not meant")
    return heading


def _read_row(line: str) -> list[str]:
    return [field.strip() for field in chain.from_iterable(csv.reader([line.lstrip("\ufeff")]))]


def _match_fields(heading: Sequence[str], line: str) -> dict[str, str]:
    try:
        fields = _read_row(line)
    except csv.Error as error:
        raise BadLine(f"cannot be read: {error}") from error
    if len(fields) != len(heading):
        raise BadLine(f"has {len(fields)} fields, and the heading has {len(heading)}")
    return dict(zip(heading, fields, strict=True))


def _read_job(number: int, fields: Mapping[str, str], columns: CsvColumns) -> TraceJob:
    return TraceJob(
        job_id=fields.get(ID_COLUMN) or f"line {number}",
        submitted_at=_read_time(fields, columns.submit),
        run_seconds=_read_time(fields, columns.duration),
        gpus=read_gpus(fields[columns.gpus], columns.gpus),
        owner="" if columns.owner is None else fields[columns.owner],
        asked_seconds=_read_optional_time(fields, columns.asked),
        deadline_at=_read_optional_time(fields, columns.deadline),
        kind=None if columns.kind is None else fields[columns.kind],
    )


def _read_time(fields: Mapping[str, str], column: TimeColumn) -> float:
    return read_seconds(fields[column.name], column.name, SECONDS_OF_UNIT[column.unit])


def _read_optional_time(fields: Mapping[str, str], column: TimeColumn | None) -> float | None:
    """Read a time that a job may do without: its field is empty then."""
    return None if column is None or not fields[column.name] else _read_time(fields, column)
