"""What the jobs that wait are told, if it changed: why, their place in the line, when they are expected to start."""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from broker.jobs.reading import queueing
from broker.jobs.reading.queueing import QueuedJob, WaitNotice
from broker.scheduling.planning.values.answers import Wait

log = logging.getLogger(__name__)

SET_ASIDE_MESSAGE = (
    "It is set aside: the broker cannot read what it needs, or cannot start it. Operations has been told; "
    "it is planned again as soon as that is mended."
)
SET_ASIDE_MESSAGE_ZH = "已搁置：系统无法读取它所需的内容，或无法启动它。运维已收到通知，修复后会自动重新排队。"
# A forecast that moved by less is not written again: otherwise every cycle would write every waiting job.
FORECAST_TOLERANCE = timedelta(seconds=10)


def list_changed(waiting: Sequence[QueuedJob], waits: Sequence[WaitNotice]) -> list[WaitNotice]:
    """List the reasons to write: those that differ from what their job was told last."""
    told = {job.id: job for job in waiting}
    return [
        wait
        for wait in waits
        if told[wait.job_id].pending_reason != wait.reason
        or _has_moved(told[wait.job_id].expected_start, wait.expected_start)
    ]


def notice_wait(wait: Wait) -> WaitNotice:
    """Word what one waiting job is told."""
    why = wait.reason
    reason = {
        "code": why.code.value,
        "message": why.message,
        "message_zh": why.message_zh,
        "next_step": why.next_step,
        "next_step_zh": why.next_step_zh,
        "evidence": dict(why.evidence),
        "position": wait.position,
    }
    return WaitNotice(wait.job_id, reason, wait.expected_start, wait.latest_start)


def notice_set_aside(aside: Collection[str], *, behind: int) -> list[WaitNotice]:
    """Tell the jobs that were set aside that they were; their place is behind all that can be planned."""
    reason = {"code": queueing.SET_ASIDE, "message": SET_ASIDE_MESSAGE, "message_zh": SET_ASIDE_MESSAGE_ZH}
    places = enumerate(aside, start=behind + 1)
    return [WaitNotice(job_id, {**reason, "position": place}, None) for place, job_id in places]


def log_set_aside(waiting: Sequence[QueuedJob], aside: Mapping[str, str]) -> None:
    """Log which jobs are set aside from now on, and which are planned again; not in every cycle anew."""
    before = list_set_aside(waiting)
    for job_id, fault in aside.items():
        if job_id not in before:
            log.error("job %s is set aside, and planned again once this is mended: %s", job_id, fault)
    for job_id in before - aside.keys():
        log.info("job %s is planned again", job_id)


def _has_moved(before: datetime | None, after: datetime | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= FORECAST_TOLERANCE


def list_set_aside(waiting: Sequence[QueuedJob]) -> set[str]:
    """List the waiting jobs that were told last that they are set aside."""
    return {job.id for job in waiting if (job.pending_reason or {}).get("code") == queueing.SET_ASIDE}
