"""Contacts: whom a customer wants told, by mail or in a chat. Where to is a secret once it is kept."""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, quote, urlsplit

from sqlalchemy import Select, select

from broker import errors
from broker.identity.service import get_customer
from broker.notices.model import Language
from broker.notices.port import is_address
from broker.notices.tables import NoticeContact
from broker.sealing import find_sealed, reseal, seal
from broker.work import Work

# Bots of chats, each on a host of its own that no URL can change: a contact never makes the broker ask another one.
CHATS = frozenset({"dingtalk", "discord", "feishu", "lark", "slack", "tgram", "wecombot"})
# What would change how the broker itself sends: how long it waits, how often it tries, whether it checks the host.
OURS = frozenset({"cto", "retry", "rto", "verify", "wait"})
MOST_CONTACTS = 20


class Channel(StrEnum):
    """By which a contact is told: by mail, or by a bot of a chat."""

    MAIL = "mail"
    CHAT = "chat"


@dataclass(frozen=True)
class NewContact:
    """A contact as it is named: `address` of mail, or the `url` of a chat's bot."""

    customer_id: str
    name: str
    language: Language
    address: str | None = None
    url: str | None = None


async def add_contact(work: Work, new: NewContact) -> NoticeContact:
    """Keep somebody whom a customer wants told from now on. Raises: NotFound, InvalidRequest."""
    await get_customer(work, new.customer_id)
    if (new.address is None) == (new.url is None):
        raise errors.invalid_field("address", "name either a mail address, or the url of a chat's bot")
    kept = (await work.session.scalars(select_contacts(new.customer_id))).all()
    if len(kept) >= MOST_CONTACTS:
        raise errors.invalid_field("customer_id", f"has {MOST_CONTACTS} contacts, the most there may be; remove one")
    channel, shown, url = _read_mail(work, new.address) if new.address is not None else _read_chat(work, new.url or "")
    row = NoticeContact(
        id=work.new_id("cnt"),
        customer_id=new.customer_id,
        name=new.name,
        channel=channel.value,
        shown=shown,
        url=url,
        language=new.language.value,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return row


def _read_mail(work: Work, address: str) -> tuple[Channel, str, str]:
    """Read a mail address: it is sent to by the server of the settings. Raises: InvalidRequest."""
    server = work.settings.notice_mail_url
    if server is None and work.settings.notice_port == "apprise":
        raise errors.invalid_field("address", "this broker has no mail server (BROKER_NOTICE_MAIL_URL); name a chat")
    return Channel.MAIL, address, f"to={quote(address, safe='')}"


def _read_chat(work: Work, url: str) -> tuple[Channel, str, str]:
    """Read the URL of a chat's bot: only its kind is ever shown, and it is kept sealed. Raises: InvalidRequest."""
    scheme = urlsplit(url).scheme.lower()
    if scheme not in CHATS or not is_address(url):
        known = ", ".join(f"{name}://" for name in sorted(CHATS))
        raise errors.invalid_field("url", f"must be the whole address of a bot, with its token, one of {known}")
    ours = sorted({name.lower() for name, _value in parse_qsl(urlsplit(url).query, keep_blank_values=True)} & OURS)
    if ours:
        raise errors.invalid_field(
            "url", f"must not say {', '.join(ours)}: how it is sent is the broker's; leave it out"
        )
    return Channel.CHAT, f"{scheme}://****", seal(work.services.secret, url)


def find_url(contact: NoticeContact, secret: bytes, mail_url: str | None) -> str | None:
    """Find where a contact is told: mail goes by the server of the settings, as they are now.

    None where the URL of a chat cannot be read, since the installation had another secret when it was named.
    """
    if contact.channel == Channel.CHAT:
        return find_sealed(secret, contact.url)
    server = mail_url or ""
    return f"{server}{'&' if '?' in server else '?'}{contact.url}"


def select_contacts(customer_id: str) -> Select[NoticeContact]:
    """Select whom a customer wants told."""
    return select(NoticeContact).where(NoticeContact.customer_id == customer_id, NoticeContact.removed_at.is_(None))


async def remove_contact(work: Work, customer_id: str, contact_id: str) -> NoticeContact:
    """Tell a contact nothing more; its URL is forgotten. Raises: NotFound."""
    query = select_contacts(customer_id).where(NoticeContact.id == contact_id).with_for_update()
    row = await work.session.scalar(query)
    if row is None:
        raise errors.NotFound("contact", contact_id)
    row.removed_at, row.url = work.now, ""
    return row


async def forget_chats(work: Work, customer_id: str) -> list[NoticeContact]:
    """Forget the chats in which a customer was told, who leaves; returns them. Mail goes on: it may still owe."""
    chats = select_contacts(customer_id).where(NoticeContact.channel == Channel.CHAT.value)
    rows = list(await work.session.scalars(chats.order_by(NoticeContact.id).with_for_update()))
    for row in rows:
        row.removed_at, row.url = work.now, ""
    return rows


async def reseal_contacts(work: Work, former: bytes) -> list[str]:
    """Seal where chats are anew, by the present secret; returns the contacts that neither can open."""
    query = select(NoticeContact).where(NoticeContact.channel == Channel.CHAT.value, NoticeContact.removed_at.is_(None))
    lost = []
    for row in await work.session.scalars(query.order_by(NoticeContact.id).with_for_update()):
        sealed = reseal(former, work.services.secret, row.url)
        row.url = row.url if sealed is None else sealed
        lost += [row.id] if sealed is None else []
    await work.session.flush()
    return lost
