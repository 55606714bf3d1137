"""Rate cards: published once, then looked up by the day on which a contract is signed."""

from datetime import date

from sqlalchemy import select

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
    rows = await work.session.scalars(select(PublishedRateCard))
    return rate_card_in_force({row.version: parse_card(row) for row in rows}, day)


def parse_card(row: PublishedRateCard) -> RateCard:
    return RateCard.from_json_dict(row.document)
