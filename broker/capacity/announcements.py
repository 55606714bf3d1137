"""What customers are told: announcements of ops, and by itself when a pool is worked on. No machine is named."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Select, or_, select

from broker import errors
from broker.capacity.model import Maintenance
from broker.capacity.tables import Announcement, Pool
from broker.work import Work

MOST_OF_A_JOB = 20


class NoticeKind(StrEnum):
    ANNOUNCEMENT = "announcement"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class Notice:
    """What customers are told, for as long as it is not over; `pool` None: it concerns all. `ends_at` None: open."""

    id: str
    kind: NoticeKind
    message: str
    message_zh: str | None
    pool: str | None
    begins_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True)
class NewAnnouncement:
    """What ops announces."""

    message: str
    message_zh: str | None
    pool: str | None
    begins_at: datetime | None
    ends_at: datetime | None


async def announce(work: Work, new: NewAnnouncement) -> Notice:
    """Announce something to customers. Raises: NotFound, InvalidRequest."""
    if new.pool is not None and await work.session.get(Pool, new.pool) is None:
        raise errors.NotFound("pool", new.pool)
    begins_at = new.begins_at or work.now
    if new.ends_at is not None and new.ends_at <= max(begins_at, work.now):
        raise errors.invalid_field("ends_at", "must be in the future and after begins_at")
    row = Announcement(
        id=work.new_id("ann"),
        message=new.message,
        message_zh=new.message_zh,
        pool=new.pool,
        begins_at=begins_at,
        ends_at=new.ends_at,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return _read_notice(row)


async def end_announcement(work: Work, announcement_id: str) -> Notice:
    """End an announcement: it is listed no longer. One that is over stays as it was. Raises: NotFound."""
    row = await work.session.get(Announcement, announcement_id)
    if row is None:
        raise errors.NotFound("announcement", announcement_id)
    if row.ends_at is None or row.ends_at > work.now:
        row.ends_at = work.now
    return _read_notice(row)


async def list_notices(work: Work) -> list[Notice]:
    """List what is not over, the earliest first: announcements, and when pools are worked on."""
    rows = await work.session.scalars(_not_over(work))
    pools = await work.session.scalars(select(Pool).order_by(Pool.name))
    told = [_read_notice(row) for row in rows]
    told += [notice for pool in pools for notice in list_maintenance(pool.name, pool.maintenance, work.now)]
    return sorted(told, key=lambda notice: (notice.begins_at, notice.id))


async def list_notices_for(work: Work, pool: str | None, node: str | None) -> list[Notice]:
    """List what concerns a job that runs on a pool and a machine of it; None: it runs nowhere. The twenty earliest."""
    is_meant = or_(Announcement.pool.is_(None), Announcement.pool == pool)
    rows = await work.session.scalars(_not_over(work).where(is_meant).limit(MOST_OF_A_JOB))
    told = [_read_notice(row) for row in rows]
    place = None if pool is None else await work.session.get(Pool, pool)
    if place is not None:
        there = [each for each in place.maintenance if concerns(each, node or place.name)]
        told += list_maintenance(place.name, there, work.now)
    return sorted(told, key=lambda notice: (notice.begins_at, notice.id))[:MOST_OF_A_JOB]


def _not_over(work: Work) -> Select[Announcement]:
    in_order = select(Announcement).order_by(Announcement.begins_at, Announcement.id)
    return in_order.where(or_(Announcement.ends_at.is_(None), Announcement.ends_at > work.now))


def concerns(window: Maintenance, node: str) -> bool:
    """Tell whether a machine is worked on."""
    return window.nodes is None or node in window.nodes


def list_maintenance(pool: str, windows: Iterable[Maintenance], now: datetime) -> Sequence[Notice]:
    """List the times at which a pool is worked on that are not over, as customers are told."""
    ahead = [window for window in windows if window.ends_at > now]
    return [_tell_maintenance(pool, window, place) for place, window in enumerate(ahead)]


def _tell_maintenance(pool: str, window: Maintenance, place: int) -> Notice:
    begins, ends = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (window.begins_at, window.ends_at))
    what, what_zh = ("Pool", "资源池") if window.nodes is None else ("A part of pool", "资源池的部分机器")
    told = f"{what} {pool} is worked on from {begins} to {ends}: nothing starts that would run into it."
    told_zh = f"{what_zh} {pool} 将于 {begins} 至 {ends} 维护：预计届时仍在运行的作业不会在其上启动。"
    notice_id = f"maintenance:{pool}:{window.begins_at.isoformat()}:{place}"
    return Notice(notice_id, NoticeKind.MAINTENANCE, told, told_zh, pool, window.begins_at, window.ends_at)


def _read_notice(row: Announcement) -> Notice:
    kind, message = NoticeKind.ANNOUNCEMENT, row.message
    return Notice(row.id, kind, message, row.message_zh, row.pool, row.begins_at, row.ends_at)
