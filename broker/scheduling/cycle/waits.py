"""What the jobs that wait are told, if it changed: why, their place in the line, when they are expected to start."""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from broker.jobs.reading.line import SET_ASIDE, UNTOLD, Told
from broker.jobs.reading.queueing import WaitNotice
from broker.scheduling.planning.values.answers import ReasonCode, Wait

log = logging.getLogger(__name__)

SET_ASIDE_MESSAGE = (
    "It is set aside: the broker cannot read what it needs, or cannot start it. Operations has been told; "
    "it is planned again as soon as that is mended."
)
SET_ASIDE_MESSAGE_ZH = "已搁置：系统无法读取它所需的内容，或无法启动它。运维已收到通知，修复后会自动重新排队。"
# A forecast that moved by less is not written again: otherwise every cycle would write every waiting job.
FORECAST_TOLERANCE = timedelta(seconds=10)
# So many places of a line are told exactly; further behind a twentieth more or less is not told anew.
EXACT_PLACES = 20
BEHIND = ReasonCode.BEHIND_EARLIER_JOBS.value


def list_changed(told: Mapping[str, Told], waits: Iterable[WaitNotice], now: datetime) -> list[WaitNotice]:
    """List the reasons to write: those that differ from what their job was told last.

    Far behind in a line each start of another moves everybody up a little, and the date too: there a place and a date
    are told again once they differ by a twentieth. So a start has a few hundred jobs written however many wait.
    """
    return [wait for wait in waits if _differs(told.get(wait.job_id, UNTOLD), wait, now)]


def list_ended_causes(
    told: Mapping[str, Told], changed: Iterable[WaitNotice], written: Collection[str]
) -> dict[str, str]:
    """List the causes for which jobs wait no longer, by job: those that were told another one now."""
    ended = {}
    for wait in changed:
        before = told.get(wait.job_id, UNTOLD).reason
        if before is not None and wait.job_id in written and before["code"] != wait.reason["code"]:
            ended[wait.job_id] = before["code"]
    return ended


def _differs(last: Told, wait: WaitNotice, now: datetime) -> bool:
    before = last.reason
    if before is None:
        return True
    is_far = min(before.get("position", 0), wait.reason["position"]) > EXACT_PLACES
    if before != wait.reason and not (is_far and _is_much_the_same(before, wait.reason)):
        return True
    starts = (last.expected_start, wait.expected_start), (last.latest_start, wait.latest_start)
    return any(_has_moved(known, told, now if is_far else None) for known, told in starts)


def _is_much_the_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether a job far behind in a line is told the same but for how many are ahead of it."""
    moved: int = abs(before["position"] - after["position"])
    return {before["code"], after["code"]} == {BEHIND} and moved * 20 <= int(after["position"])


def _has_moved(before: datetime | None, after: datetime | None, now: datetime | None) -> bool:
    """Tell whether a date has moved; of a job far behind in line, by a twentieth of the time from `now` until then."""
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= max(FORECAST_TOLERANCE, timedelta() if now is None else (after - now) / 20)


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
    reason = {"code": SET_ASIDE, "message": SET_ASIDE_MESSAGE, "message_zh": SET_ASIDE_MESSAGE_ZH}
    places = enumerate(aside, start=behind + 1)
    return [WaitNotice(job_id, {**reason, "position": place}, None) for place, job_id in places]


def log_set_aside(before: Collection[str], aside: Mapping[str, str]) -> None:
    """Log which jobs are set aside from now on, and which are planned again; not in every cycle anew."""
    for job_id, fault in aside.items():
        if job_id not in before:
            log.error("job %s is set aside, and planned again once this is mended: %s", job_id, fault)
    for job_id in before:
        if job_id not in aside:
            log.info("job %s is planned again", job_id)
