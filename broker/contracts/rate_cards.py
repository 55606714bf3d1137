"""Rate cards: published once, then looked up by the day on which a contract is signed."""

import json
from datetime import date
from functools import lru_cache

from sqlalchemy import Text, cast, select

from broker.contracts.tables import PublishedRateCard
from broker.work import Work
from pricing.rate_card import RateCard, rate_card_in_force


class RateCardChanged(RuntimeError):
    """A published rate card differs from the catalogue's: publish a new version instead of editing one."""


async def publish_rate_cards(work: Work, cards: dict[str, RateCard]) -> None:
    """Publish what the catalogue has and the database has not. Raises: RateCardChanged."""
    published = {row.version: row.document for row in await work.session.scalars(select(PublishedRateCard))}
    for version, card in cards.items():
        document = card.to_json_dict()
        if version not in published:
            row = PublishedRateCard(
                version=version, effective_from=card.effective_from, document=document, published_at=work.now
            )
            work.session.add(row)
        elif published[version] != document:
            raise RateCardChanged(
                f"rate card {version} was published with other prices; give the new ones a new version"
            )


async def rate_card_on(work: Work, day: date) -> RateCard:
    """The published card in force on a day. Raises: pricing.rate_card.NoPriceInForce."""
    documents = await work.session.scalars(select(cast(PublishedRateCard.document, Text)))
    cards = [_parse_document(document) for document in documents]
    return rate_card_in_force({card.version: card for card in cards}, day)


@lru_cache(maxsize=256)
def _parse_document(document: str) -> RateCard:
    return RateCard.from_json_dict(json.loads(document))


def parse_card(row: PublishedRateCard) -> RateCard:
    return RateCard.from_json_dict(row.document)
