"""The training log of a job: the lines of all its runs, one after the other, page by page, searched and since when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, tuple_

from broker import errors
from broker.jobs.tables import LoggedLine, RunLog
from broker.work import Work

PAGE = 200
BETWEEN = ":"


@dataclass(frozen=True)
class LinesWanted:
    """Which lines are wanted: with these words, in any case; not written before `since`; behind the line `cursor`.

    `newest_first`: from the end backwards, so that `cursor` is what was read last there, too.
    """

    search: str | None = None
    since: datetime | None = None
    cursor: str | None = None
    newest_first: bool = False
    limit: int = PAGE


@dataclass(frozen=True)
class TrainingLog:
    """A page of lines. `kept` counts all of the job, `left_out` those that its runs wrote and that were not kept."""

    lines: Sequence[LoggedLine]
    next_cursor: str | None
    kept: int
    left_out: int


def name_line(line: LoggedLine) -> str:
    """Name a line among all of its job."""
    return f"{line.run_id}{BETWEEN}{line.number}"


def read_cursor(cursor: str) -> tuple[str, int]:
    """Read the name of a line. Raises: InvalidRequest."""
    run_id, _, number = cursor.rpartition(BETWEEN)
    if not run_id or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise errors.invalid_field("cursor", "is not of this list; send the next_cursor of its page before")
    return run_id, int(number)


async def read_training_log(work: Work, job_id: str, wanted: LinesWanted) -> TrainingLog:
    """Read one page of a job's log that the actor sees, in two statements. Raises: InvalidRequest."""
    place = tuple_(LoggedLine.run_id, LoggedLine.number)
    query = select(LoggedLine).where(LoggedLine.job_id == job_id)
    if wanted.cursor is not None:
        reached = tuple_(*read_cursor(wanted.cursor))
        query = query.where(place < reached if wanted.newest_first else place > reached)
    if wanted.since is not None:
        query = query.where(LoggedLine.at >= wanted.since)
    if wanted.search:
        query = query.where(LoggedLine.text.icontains(wanted.search, autoescape=True))
    keys = (LoggedLine.run_id, LoggedLine.number)
    in_order = query.order_by(*(key.desc() if wanted.newest_first else key.asc() for key in keys))
    rows = (await work.session.scalars(in_order.limit(wanted.limit + 1))).all()
    page = rows[: wanted.limit]
    sums = select(func.sum(RunLog.kept), func.sum(RunLog.next_number)).where(RunLog.job_id == job_id)
    kept, told = (await work.session.execute(sums)).one()
    after = name_line(page[-1]) if len(rows) > wanted.limit else None
    return TrainingLog(page, after, int(kept or 0), int(told or 0) - int(kept or 0))
