"""The queues with what waits and runs in them, and rows of the line as a page shows them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.capacity.service import Queue
from broker.jobs.reading.queueing import DeviceHolder
from broker.jobs.reading.waiting_page import LineFilter, LineRow
from broker.jobs.reading.waiting_sums import WaitingSum
from broker.operations.claims import sum_jobs
from broker.operations.overview import Overview


@dataclass(frozen=True)
class QueueRow:
    """A queue, in the planner's order. Units: whole GPUs."""

    queue: Queue
    waiting_jobs: int
    waiting_gpus: int
    waiting_gpu_seconds: int
    oldest_at: datetime | None
    running_jobs: int
    held_gpus: int


MOST_QUEUES = 100


def list_queue_rows(seen: Overview) -> list[QueueRow]:
    """List the queues in the planner's order; of more than a hundred, those first in which something is."""
    waiting, holders = defaultdict(list), defaultdict(list)
    for each in seen.facts.waiting:
        waiting[each.queue].append(each)
    for holder in seen.facts.holders:
        holders[holder.queue].append(holder)
    rows = [_make_row(queue, waiting[queue.name], holders[queue.name]) for queue in seen.facts.queues.values()]
    if len(rows) > MOST_QUEUES:
        rows = sorted(rows, key=lambda row: not (row.waiting_jobs or row.running_jobs))[:MOST_QUEUES]
    return rows


def _make_row(queue: Queue, waiting: Sequence[WaitingSum], holders: Sequence[DeviceHolder]) -> QueueRow:
    return QueueRow(
        queue=queue,
        waiting_jobs=sum(each.jobs for each in waiting),
        waiting_gpus=sum(each.gpus for each in waiting),
        waiting_gpu_seconds=sum(each.left_gpu_seconds for each in waiting),
        oldest_at=min((each.oldest_at for each in waiting), default=None),
        running_jobs=len(holders),
        held_gpus=sum(each.gpus for each in holders),
    )


def count_waiting(seen: Overview, wanted: LineFilter) -> int:
    """Count the jobs that wait and are wanted, by the sums that were read of all: a long line takes long to count."""
    names = ("queue", "reason", "customer_id", "contract_id", "sku")
    told = [(name, value) for name in names if (value := getattr(wanted, name)) is not None]
    return sum(each.jobs for each in seen.facts.waiting if all(getattr(each, name) == value for name, value in told))


@dataclass(frozen=True)
class WaitingRow:
    """A job of the line. `priority` is that by which it is planned: its own (`is_own`), or its queue's."""

    job: LineRow
    customer: str
    priority: int
    is_own: bool
    reason: str


def list_waiting_rows(
    rows: Iterable[LineRow], queues: Mapping[str, Queue], names: Mapping[str, str], language: str
) -> list[WaitingRow]:
    """List jobs of the line with their customers' names and their reasons as sentences of a language."""
    return [_make_waiting(row, queues.get(row.queue), names, language) for row in rows]


def _make_waiting(row: LineRow, queue: Queue | None, names: Mapping[str, str], language: str) -> WaitingRow:
    of_queue = 0 if queue is None else queue.priority
    return WaitingRow(
        job=row,
        customer=names.get(row.customer_id, row.customer_id),
        priority=of_queue if row.priority is None else row.priority,
        is_own=row.priority is not None,
        reason=tell_reason(row.reason, language),
    )


def tell_reason(reason: Mapping[str, object] | None, language: str) -> str:
    """Tell why a job waits as a sentence; empty where it was told nothing yet."""
    if reason is None:
        return ""
    told = reason.get("message_zh") if language == "zh" else None
    return str(told or reason.get("message") or reason.get("code") or "")


def list_reasons(seen: Overview, queue: str | None) -> Sequence[tuple[str, int]]:
    """List the reasons for which jobs wait, each with how many, the most first."""
    waiting = [each for each in seen.facts.waiting if queue is None or each.queue == queue]
    return sorted(sum_jobs(waiting).items(), key=lambda told: (-told[1], told[0]))
