"""What-if: a draft of settings read as a proposal, and two replays drawn beside each other. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.console.frame.forms import read_whole

QUEUE_FIELDS = ("priority", "weight", "max_jobs", "max_gpus", "state")
POOL_FIELDS = ("total_gpus", "discipline", "open")
CONTRACT_FIELDS = ("weight", "max_gpus", "max_jobs")
FIELDS = {"queues": QUEUE_FIELDS, "pools": POOL_FIELDS, "contracts": CONTRACT_FIELDS, "jobs": ("priority",)}
REMOVABLE = frozenset({"max_jobs", "max_gpus"})
Draft = Mapping[str, Mapping[str, Mapping[str, Any]]]


def read_draft(sent: Mapping[str, str], now: Draft) -> dict[str, dict[str, dict[str, Any]]]:
    """Read what a draft changes of the settings of now, as the API takes a proposal.

    A field is sent as `kind|name|field`. What is no number stays as it was typed: the API refuses it by its field.
    """
    proposal: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, named in now.items():
        for name, settings in named.items():
            for field in FIELDS[kind]:
                text = sent.get(f"{kind}|{name}|{field}")
                if text is None:
                    continue
                value = _read_value(field, text.strip())
                if value == settings[field] or (value is None and field not in REMOVABLE and kind != "jobs"):
                    continue
                proposal.setdefault(kind, {}).setdefault(name, {})[field] = value
    return proposal


def list_drafted_jobs(sent: Mapping[str, str]) -> list[str]:
    """List the jobs that a form of a draft has, by their ids. Pure."""
    return [name.split("|")[1] for name in sent if name.startswith("jobs|") and name.count("|") == 2]


def _read_value(field: str, text: str) -> Any:
    if field == "open":
        return text == "yes"
    if not text:
        return None
    return read_whole(text)


@dataclass(frozen=True)
class GanttBar:
    """A part of a row: `wait`, or `run` with its pool. Units of the drawing; `told` says it in words."""

    kind: str
    x: float
    width: float
    pool: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class GanttRow:
    job_id: str
    y: int
    bars: tuple[GanttBar, ...]


@dataclass(frozen=True)
class Gantt:
    """Jobs on one scale of time. `height` is that of all rows, `ticks` are moments along the scale."""

    rows: Sequence[GanttRow]
    ticks: Sequence[tuple[float, datetime]]
    width: int
    height: int


WIDTH, ROW, MOST_ROWS, TICKS = 600, 12, 40, 4


def place_gantt(drawn: Sequence[Mapping[str, Any]], side: str, begins_at: datetime, ends_at: datetime) -> Gantt:
    """Place the jobs of one replay (`side`: today, proposed), those that it has for both in the same rows."""
    scale = WIDTH / max(1.0, (ends_at - begins_at) / timedelta(seconds=1))
    rows = [
        GanttRow(job["job_id"], place * ROW, tuple(_list_bars(job, side, begins_at, ends_at, scale)))
        for place, job in enumerate(drawn[:MOST_ROWS])
    ]
    step = (ends_at - begins_at) / TICKS
    ticks = [(round(WIDTH * place / TICKS, 1), begins_at + place * step) for place in range(TICKS + 1)]
    return Gantt(rows, ticks, WIDTH, max(1, len(rows)) * ROW)


# The columns of a Gantt's file.
SPAN_COLUMNS = ("replay", "job_id", "contract_id", "queue", "gpus", "kind", "pool", "since", "until")


def list_spans(drawn: Iterable[Mapping[str, Any]], begins_at: datetime, ends_at: datetime) -> list[dict[str, Any]]:
    """List what both Gantts draw, of all jobs that are kept: a row for each wait and each run."""
    return [
        {
            "replay": side,
            **{name: job.get(name) for name in ("job_id", "contract_id", "queue", "gpus")},
            "kind": kind,
            "pool": pool,
            "since": since.isoformat(),
            "until": until.isoformat(),
        }
        for job in drawn
        for side in ("today", "proposed")
        for kind, pool, since, until in _list_spans_of(job, side, begins_at, ends_at)
        if until > since
    ]


def _list_spans_of(
    job: Mapping[str, Any], side: str, begins_at: datetime, ends_at: datetime
) -> list[tuple[str, str, datetime, datetime]]:
    runs = [(bar["pool"], _read(bar["since"]), _read(bar["until"])) for bar in job[side]]
    came = max(_read(job["came_at"]), begins_at)
    first = runs[0][1] if runs else ends_at
    return [("wait", "", came, first), *(("run", *run) for run in runs)]


def _list_bars(
    job: Mapping[str, Any], side: str, begins_at: datetime, ends_at: datetime, scale: float
) -> Iterable[GanttBar]:
    for kind, pool, since, until in _list_spans_of(job, side, begins_at, ends_at):
        x, end = ((moment - begins_at).total_seconds() * scale for moment in (since, until))
        if end > x:
            yield GanttBar(kind, round(x, 2), round(max(end - x, 1.0), 2), pool, since, until)


def _read(written: str) -> datetime:
    return datetime.fromisoformat(written)


@dataclass(frozen=True)
class MovedStart:
    """A job whose start moves. `shift` in seconds, below zero: earlier; None where it starts in one replay alone."""

    job_id: str
    contract_id: str
    queue: str
    today: datetime | None
    proposed: datetime | None

    @property
    def shift(self) -> int | None:
        if self.today is None or self.proposed is None:
            return None
        return round((self.proposed - self.today).total_seconds())


def list_moved(drawn: Iterable[Mapping[str, Any]]) -> list[MovedStart]:
    """List the jobs whose start moves by more than a minute, those first that would not start, then the latest."""
    moved = []
    for job in drawn:
        today, proposed = (_read(job[side][0]["since"]) if job[side] else None for side in ("today", "proposed"))
        one = MovedStart(job["job_id"], job["contract_id"], job["queue"], today, proposed)
        if (today is None) != (proposed is None) or abs(one.shift or 0) > 60:
            moved.append(one)
    return sorted(moved, key=_rank_moved)


def _rank_moved(one: MovedStart) -> tuple[int, int, str]:
    if one.proposed is None:
        return 0, 0, one.job_id
    return (2, 0, one.job_id) if one.today is None else (1, -(one.shift or 0), one.job_id)


@dataclass(frozen=True)
class Sums:
    """What a replay comes to over all contracts and queues. Units: jobs, GPU-seconds, micro-yuan."""

    started: int
    still_waiting: int
    starved: int
    deadlines_missed: int
    guarantees_missed: int
    preemptions: int
    gpu_seconds: int
    cost_micros: int


def add_up(result: Mapping[str, Any], side: str) -> Sums:
    """Add up one side of a comparison."""
    groups = [group[side] for group in result["groups"]]
    names = ("started", "still_waiting", "deadlines_missed", "guarantees_missed", "preemptions")
    counts = {name: sum(group[name] for group in groups) for name in names}
    return Sums(
        **counts,
        starved=result.get("starved", (0, 0))[side == "proposed"],
        gpu_seconds=round(sum(group["gpu_seconds"] for group in groups)),
        cost_micros=sum(group["cost_micros"] for group in groups),
    )
