"""The catalogue's own rate cards, published as a release starts; one that comes too late is left out, and told."""

import logging

from sqlalchemy import exists, select

from broker.contracts.cards.publishing import find_first_day
from broker.contracts.tables import Contract, PublishedRateCard
from broker.work import Work
from pricing.rate_card import RateCard

log = logging.getLogger(__name__)


class RateCardChanged(RuntimeError):
    """A published rate card differs from the catalogue's: publish a new version instead of editing one."""


async def publish_rate_cards(work: Work, cards: dict[str, RateCard]) -> None:
    """Publish what the catalogue has and the database has not.

    Once there are contracts, a card whose day has begun anywhere is left out: it would price anew what a contract that
    follows the newest card has used already. Raises: RateCardChanged.
    """
    published = {row.version: row.document for row in await work.session.scalars(select(PublishedRateCard))}
    for version, card in cards.items():
        if version in published:
            _check_unchanged(card, published[version])
    new = [card for version, card in cards.items() if version not in published]
    late = await _find_late(work, new)
    work.session.add_all(
        PublishedRateCard(
            version=card.version,
            effective_from=card.effective_from,
            document=card.to_json_dict(),
            published_at=work.now,
        )
        for card in new
        if card not in late
    )
    await work.session.flush()


def _check_unchanged(card: RateCard, document: dict[str, object]) -> None:
    if document != card.to_json_dict():
        raise RateCardChanged(
            f"rate card {card.version} was published with other prices; give the new ones a new version"
        )


async def _find_late(work: Work, new: list[RateCard]) -> list[RateCard]:
    """Find the new cards that come too late to price anything, where there are contracts; the log tells the cure."""
    first = find_first_day(work.now)
    late = [card for card in new if card.effective_from < first]
    if not late or not await work.session.scalar(select(exists(select(Contract.id)))):
        return []
    for card in late:
        log.error(
            "rate card %s of the catalogue is not published: it would be in force from %s, and contracts may have used "
            "what it would price anew; publish it under another version, from %s on (POST /v1/rate-cards)",
            card.version,
            card.effective_from,
            first,
        )
    return late
