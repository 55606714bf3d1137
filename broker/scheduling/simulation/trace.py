"""What a trace says: jobs with the time they came, the GPUs they took and the time they ran. Pure.

Units: seconds, counted from whatever moment the trace counts from; whole GPUs.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# A planner counts in dates, of which a calendar has ten thousand years: half of them are left to wait in.
MOST_SECONDS = 5_000 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class TraceJob:
    """A job of a trace; `asked_seconds` is what its user said it would run, `deadline_at` when it had to be done.

    `owner` stands for the contract: the user of a Standard Workload Format file, or a column of a CSV file.
    """

    job_id: str
    submitted_at: float
    run_seconds: float
    gpus: int
    owner: str = ""
    asked_seconds: float | None = None
    deadline_at: float | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line of a trace that is no job, by its number from 1, and what is wrong with it."""

    number: int
    fault: str


@dataclass(frozen=True, slots=True)
class Trace:
    """The jobs in order of submission, then of their lines; and the lines that could not be read."""

    jobs: tuple[TraceJob, ...]
    broken: tuple[BrokenLine, ...] = ()


class BadLine(ValueError):
    """A line of a trace that is no job; the message names the field and what it must be."""


class BadTrace(ValueError):
    """A trace of which nothing can be read; the message names the cause and the cure."""


def read_lines(lines: Iterable[tuple[int, str]], read: Callable[[int, str], TraceJob]) -> Trace:
    """Read numbered lines one by one; a broken one, or one whose id was taken before, is noted and the rest goes on."""
    jobs: dict[str, TraceJob] = {}
    broken: list[BrokenLine] = []
    for number, line in lines:
        try:
            job = read(number, line)
            if job.job_id in jobs:
                raise BadLine(f"job {job.job_id} stands on an earlier line already")  # noqa: TRY301
        except BadLine as error:
            broken.append(BrokenLine(number, str(error)))
        else:
            jobs[job.job_id] = job
    return Trace(tuple(sorted(jobs.values(), key=lambda job: job.submitted_at)), tuple(broken))


def read_number(text: str | None, field: str) -> float:
    """Read a finite number. Raises: BadLine, which names the field."""
    try:
        number = float(text if text is not None else "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadLine(f"{field} must be a number, and is {text!r}")
    return number


def read_seconds(text: str | None, field: str, unit_seconds: float = 1) -> float:
    """Read a time or a length of time of at least zero, in seconds. Raises: BadLine, which names the field."""
    number = read_number(text, field)
    if number < 0:
        raise BadLine(f"{field} must not be negative, and is {text!r}")
    seconds = number * unit_seconds
    if seconds > MOST_SECONDS:
        raise BadLine(f"{field} must be at most 5,000 years, and is {text!r}: is its unit right?")
    return seconds


def read_gpus(text: str | None, field: str) -> int:
    """Read a whole number of GPUs, of at least one. Raises: BadLine, which names the field."""
    number = read_number(text, field)
    if number < 1 or number != int(number):
        raise BadLine(f"{field} must be a whole number of at least 1, and is {text!r}")
    return int(number)
