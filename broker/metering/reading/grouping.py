"""What usage is asked for: grouped by what, in which window, of whom. Pure."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from broker import errors
from broker.http.body import find_unstorable
from broker.http.labels import NAME as LABEL_NAME

DIMENSIONS = ("customer", "contract", "project", "job", "source", "gpu_type", "meter")
PERIODS = ("hour", "day", "month")
LABEL_PREFIX = "label:"
GROUPS_PATTERN = rf"^({'|'.join((*DIMENSIONS, *PERIODS))}|{LABEL_PREFIX}{LABEL_NAME})$"
HOUR = timedelta(hours=1)
# Eight values of a hundred characters of four bytes each, in Base64.
LONGEST_CURSOR = 6000


@dataclass(frozen=True)
class Window:
    """A span of time from one full hour up to another; None: without an end there. Days are those of the time zone."""

    since: datetime | None
    until: datetime | None
    time_zone: str


@dataclass(frozen=True)
class UsageFilter:
    """Whose usage is added up; None: everybody's that the actor sees."""

    customer_id: str | None = None
    contract_id: str | None = None
    project_id: str | None = None
    job_id: str | None = None
    source: str | None = None
    gpu_type: str | None = None
    label: str | None = None


def check_window(window: Window, groups: Sequence[str]) -> None:
    """Refuse a window that sums of full hours cannot answer. Raises: InvalidRequest."""
    for field, moment in (("from", window.since), ("to", window.until)):
        if moment is not None and moment.timestamp() % HOUR.total_seconds():
            raise errors.invalid_field(field, "must be at a full hour (UTC): usage is added up by the hour")
    if window.since is not None and window.until is not None and window.since >= window.until:
        raise errors.invalid_field("to", "must be after from")
    try:
        zone = ZoneInfo(window.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise errors.invalid_field(
            "time_zone", "is no time zone of the IANA list; write it as Asia/Shanghai"
        ) from error
    offsets = [moment.astimezone(zone).utcoffset() for moment in (window.since, window.until) if moment is not None]
    if {"day", "month"} & set(groups) and any(offset and offset % HOUR for offset in offsets):
        raise errors.invalid_field("time_zone", "is not at full hours from UTC: its days do not begin with an hour")


def write_cursor(values: Sequence[str]) -> str:
    """Write the values of a page's last group as the cursor of the next page."""
    return base64.urlsafe_b64encode(json.dumps(list(values), ensure_ascii=False).encode()).decode()


def read_cursor(cursor: str, length: int) -> list[str]:
    """Read the values that a cursor names. Raises: InvalidRequest."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError):
        values = None
    if not isinstance(values, list) or len(values) != length or not all(isinstance(each, str) for each in values):
        raise foreign_cursor()
    if any(find_unstorable(values)):
        raise foreign_cursor()
    return values


def foreign_cursor() -> errors.InvalidRequest:
    """Tell that a cursor is none that this list has given."""
    return errors.invalid_field("cursor", "is not of this list; send the next_cursor of its page before")
