"""Reads the Standard Workload Format, version 2.2: one job a line, eighteen fields, comments begin with a semicolon.

Source: https://www.cs.huji.ac.il/labs/parallel/workload/swf.html. Unknown values are -1 there.
"""

from collections.abc import Iterable, Iterator, Sequence

from broker.scheduling.simulation.trace import (
    BadLine,
    Trace,
    TraceJob,
    read_gpus,
    read_lines,
    read_number,
    read_seconds,
)

COMMENT = ";"
FEWEST_FIELDS = 12  # up to the user's; those behind it are not read
UNKNOWN = -1


def read_swf(lines: Iterable[str]) -> Trace:
    """Read a trace; a broken line is noted by its number and the rest goes on.

    A job takes the processors that it asked for (field 8), or those that it was given (field 5) where that is unknown.
    """
    return read_lines(_list_job_lines(lines), _read_job)


def _list_job_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith(COMMENT):
            yield number, line


def _read_job(_number: int, line: str) -> TraceJob:
    fields = line.split()
    if len(fields) < FEWEST_FIELDS:
        raise BadLine(f"has {len(fields)} of the 18 fields of a job")
    return TraceJob(
        job_id=fields[0],
        submitted_at=read_seconds(fields[1], "submit time (field 2)"),
        run_seconds=read_seconds(fields[3], "run time (field 4)"),
        gpus=_read_processors(fields),
        owner=fields[11],
        asked_seconds=_read_asked_seconds(fields[8]),
    )


def _read_processors(fields: Sequence[str]) -> int:
    if read_number(fields[7], "processors asked (field 8)") != UNKNOWN:
        return read_gpus(fields[7], "processors asked (field 8)")
    return read_gpus(fields[4], "processors (field 5)")


def _read_asked_seconds(text: str) -> float | None:
    if read_number(text, "time asked (field 9)") == UNKNOWN:
        return None
    return read_seconds(text, "time asked (field 9)")
