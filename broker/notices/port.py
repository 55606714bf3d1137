"""The port through which notices leave: the log, which needs nothing, or whatever service a contact's URL names."""

import asyncio
import logging
from datetime import timedelta
from typing import Protocol

import apprise

from broker.config import Settings
from broker.notices.words import Words

log = logging.getLogger(__name__)

# A service that takes longer has not taken it; what it does all the same then may come twice.
HANDOVER = timedelta(seconds=20)


class NotSent(Exception):
    """A notice could not be handed over; the message names no URL."""


class NoticePort(Protocol):
    """What hands notices over. It is called in no transaction."""

    async def send(self, url: str, contact_id: str, words: Words) -> None:
        """Hand a notice over to where a contact's URL says. Raises: NotSent."""
        ...


class LogPort:
    """Writes notices into the log: the default, for trying out and for installations that collect their logs."""

    async def send(self, url: str, contact_id: str, words: Words) -> None:  # noqa: ARG002 (a URL is never logged)
        log.info("notice for contact %s: %s: %s", contact_id, words.title, words.body.replace("\n", " "))


class ApprisePort:
    """Hands notices over by the library apprise: mail and chat bots. What it logs itself may name URLs, and is off."""

    def __init__(self) -> None:
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)

    async def send(self, url: str, contact_id: str, words: Words) -> None:
        try:
            taken = await asyncio.wait_for(asyncio.to_thread(_hand_over, url, words), HANDOVER.total_seconds())
        except TimeoutError as late:
            raise NotSent(f"the service of contact {contact_id} did not answer in time") from late
        if not taken:
            raise NotSent(f"the service of contact {contact_id} did not take it")


def is_address(url: str) -> bool:
    """Tell whether a URL is all that its service needs. Nobody is asked."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None


def _hand_over(url: str, words: Words) -> bool:
    """Hand a notice over; tells whether it was taken."""
    asset = apprise.AppriseAsset(app_id="LoRA Broker", app_desc="LoRA Broker", secure_logging=True)
    sender = apprise.Apprise(asset=asset)
    if not sender.add(url):
        return False
    return bool(sender.notify(title=words.title, body=words.body))


def open_port(settings: Settings) -> NoticePort:
    """Open the port that the settings name."""
    return ApprisePort() if settings.notice_port == "apprise" else LogPort()
