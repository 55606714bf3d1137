"""Rate cards: published once, then looked up by the day on which a contract is signed."""

from datetime import date

from sqlalchemy import ColumnElement, Date, ScalarSelect, literal, select

from broker.contracts.tables import PublishedRateCard
from broker.work import Work
from pricing.rate_card import NoPriceInForce, RateCard


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


def select_card_version(day: ColumnElement[date]) -> ScalarSelect[str]:
    """Select the version of the published card in force on a day, as part of a larger statement.

    Null where there is none. Of two cards for the same day the one with the later version counts.
    """
    latest = (PublishedRateCard.effective_from.desc(), PublishedRateCard.version.collate("C").desc())
    begun = select(PublishedRateCard.version).where(PublishedRateCard.effective_from <= day)
    return begun.order_by(*latest).limit(1).scalar_subquery()


async def rate_card_on(work: Work, day: date) -> RateCard:
    """Get the published card in force on a day. Raises: pricing.rate_card.NoPriceInForce."""
    version = await work.session.scalar(select(select_card_version(literal(day, Date))))
    if version is None:
        raise NoPriceInForce(day)
    return await get_rate_card(work, version)


async def get_rate_card(work: Work, version: str) -> RateCard:
    """Get a published card by its version, which must exist."""
    known = work.services.versions.find(RateCard, version)
    if known is not None:
        return known
    row = await work.session.get_one(PublishedRateCard, version)
    return work.services.versions.keep(version, parse_card(row))


def parse_card(row: PublishedRateCard) -> RateCard:
    return RateCard.from_json_dict(row.document)
