"""Announcing to customers: what ops says of a pool is an event of the jobs that run there, too."""

from broker.capacity import announcements
from broker.capacity.announcements import NewAnnouncement, Notice
from broker.jobs.running.notices import tell_jobs_on
from broker.work import Work


async def announce(work: Work, new: NewAnnouncement) -> Notice:
    """Announce something; the jobs that run on its pool are told. Raises: NotFound, InvalidRequest."""
    notice = await announcements.announce(work, new)
    if notice.pool is not None:
        told = {"announcement_id": notice.id, "message": notice.message, "message_zh": notice.message_zh}
        await tell_jobs_on(work, notice.pool, None, "announced", {**told, "pool": notice.pool})
    return notice
