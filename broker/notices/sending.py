"""Composing notices of what has happened, and sending those that are due: stored first, sent in no transaction."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert

from broker.notices.contacts import find_url, select_contacts
from broker.notices.happenings import list_happenings
from broker.notices.model import MOST_ATTEMPTS, Happening, Language, NoticeStatus, compute_pause
from broker.notices.port import NoticePort, NotSent
from broker.notices.tables import Notice, NoticeContact, Noticed
from broker.notices.words import Words, word
from broker.persistence.database import narrow
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)

# Of a batch all are handed over at once, so that one service that is slow keeps no other contact waiting.
BATCH = 10
# So long a process may take to hand a batch over, well beyond HANDOVER; then another one tries.
LEASE = timedelta(minutes=5)
UNREADABLE = "where to is sealed by another secret of the installation; remove the contact and name it anew"


async def compose_notices(system: System) -> None:
    """Compose the notices of what has happened, each happening in a transaction of its own."""
    async with system.work() as work:
        happenings = await list_happenings(work)
    await system.work_on(happenings, compose_one)


async def compose_one(work: Work, happening: Happening) -> None:
    """Store a notice for each contact of a customer, once: another process that does so waits here, and then stops."""
    mark = {"event_id": happening.event_id, "customer_id": happening.customer_id, "created_at": work.now}
    marking = insert(Noticed).values(mark).on_conflict_do_nothing().returning(Noticed.event_id)
    if await work.session.scalar(marking) is None:
        return
    for contact in await work.session.scalars(select_contacts(happening.customer_id)):
        words = word(happening, Language(contact.language))
        work.session.add(_make_row(work, happening, contact, words))
    await work.session.flush()


def _make_row(work: Work, happening: Happening, contact: NoticeContact, words: Words) -> Notice:
    return Notice(
        id=work.new_id("ntc"),
        customer_id=happening.customer_id,
        contract_id=happening.contract_id,
        contact_id=contact.id,
        event_id=happening.event_id,
        kind=happening.kind,
        language=contact.language,
        title=words.title,
        body=words.body,
        status=NoticeStatus.PENDING.value,
        attempts=0,
        not_before=work.now,
        created_at=work.now,
    )


@dataclass(frozen=True)
class Claimed:
    """A notice that this process sends, and where to; without that it is given up for `missing`."""

    id: str
    contact_id: str
    url: str | None
    words: Words
    missing: str = ""


async def send_notices(system: System, port: NoticePort) -> None:
    """Send what is due; one that fails, or takes long, keeps no other from being sent."""
    while claimed := await _claim(system):
        await asyncio.gather(*(_send(system, port, each) for each in claimed))
        if len(claimed) < BATCH:
            return


async def _claim(system: System) -> list[Claimed]:
    """Claim due notices for as long as sending may take, so that no other process sends them, too."""
    async with system.work() as work:
        query = (
            select(Notice, NoticeContact)
            .join(NoticeContact, NoticeContact.id == Notice.contact_id)
            .where(Notice.status == NoticeStatus.PENDING.value, Notice.not_before <= work.now)
            .order_by(Notice.not_before, Notice.id)
            .limit(BATCH)
            .with_for_update(of=Notice, skip_locked=True)
        )
        claimed = []
        for notice, contact in (await work.session.execute(query)).all():
            notice.attempts += 1
            notice.not_before = work.now + LEASE
            claimed.append(_describe(work, notice, contact))
        return claimed


def _describe(work: Work, notice: Notice, contact: NoticeContact) -> Claimed:
    words = Words(notice.title, notice.body)
    if contact.removed_at is not None:
        return Claimed(notice.id, contact.id, None, words, "the contact was removed")
    url = find_url(contact, work.services.secret, work.settings.notice_mail_url)
    return Claimed(notice.id, contact.id, url, words, UNREADABLE)


async def _send(system: System, port: NoticePort, claimed: Claimed) -> None:
    error: str | None = None
    try:
        if claimed.url is not None:
            await port.send(claimed.url, claimed.contact_id, claimed.words)
    except NotSent as refusal:
        error = str(refusal)
    except Exception as fault:  # noqa: BLE001 (whatever a service does, the others are told; its words may hold the URL)
        error = f"{type(fault).__name__} while it was handed over"
    async with system.work() as work:
        notice = await work.session.get_one(Notice, claimed.id, with_for_update=True)
        _note_outcome(work, notice, claimed, error)


def _note_outcome(work: Work, notice: Notice, claimed: Claimed, error: str | None) -> None:
    """Note what became of an attempt: sent, tried again later, or given up."""
    if error is None and claimed.url is not None:
        notice.status, notice.sent_at, notice.last_error = NoticeStatus.SENT.value, work.now, None
        return
    notice.last_error = error or claimed.missing
    if claimed.url is None or notice.attempts >= MOST_ATTEMPTS:
        notice.status = NoticeStatus.FAILED.value
        log.warning("notice %s was given up: %s", notice.id, notice.last_error)
    else:
        notice.not_before = work.now + compute_pause(notice.attempts)


def select_notices(**wanted: str | None) -> Select[Notice]:
    """Select what contacts are told that the actor sees, all or those with these values in their columns."""
    return narrow(select(Notice), **wanted)


async def count_by_status(work: Work) -> dict[str, int]:
    """Count notices by whether they were sent."""
    query = select(Notice.status, func.count()).group_by(Notice.status)
    return dict((await work.session.execute(query)).all())
