"""Rate cards: published once, then looked up by the day on which a contract is signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Date, ScalarSelect, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from broker import errors
from broker.clock import local_day
from broker.contracts.tables import Contract, PublishedRateCard
from broker.contracts.terms.model import CardChoice
from broker.work import Work
from pricing.rate_card import NoPriceInForce, RateCard, choose_card


class CardStatus(StrEnum):
    """Whether new contracts are signed on a card today, will be from a later day, or no longer are."""

    UPCOMING = "upcoming"
    IN_FORCE = "in_force"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class ListedCard:
    """A published card, when it was published, and whether it is in force today."""

    card: RateCard
    published_at: datetime
    status: CardStatus


async def list_cards(work: Work) -> list[ListedCard]:
    """List the published cards, that of the latest day first; of one day the later version."""
    rows = (await work.session.scalars(select(PublishedRateCard))).all()
    published = [(parse_card(row), row.published_at) for row in rows]
    published.sort(key=lambda each: (each[0].effective_from, each[0].version), reverse=True)
    today = local_day(work.now, work.settings.time_zone)
    in_force = _find_in_force([card for card, _published_at in published], today)
    return [ListedCard(card, published_at, _judge(card, in_force, today)) for card, published_at in published]


def _find_in_force(cards: Sequence[RateCard], today: date) -> RateCard | None:
    try:
        return choose_card(cards, today)
    except NoPriceInForce:
        return None


def _judge(card: RateCard, in_force: RateCard | None, today: date) -> CardStatus:
    if card.effective_from > today:
        return CardStatus.UPCOMING
    return CardStatus.IN_FORCE if card is in_force else CardStatus.SUPERSEDED


async def get_listed_card(work: Work, version: str) -> ListedCard:
    """Get a published card with whether it is in force. Raises: NotFound."""
    found = next((each for each in await list_cards(work) if each.card.version == version), None)
    if found is None:
        raise errors.NotFound("rate card", version)
    return found


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


def select_published_versions() -> ScalarSelect[list[str]]:
    """Select the versions of all published cards, as part of a larger statement."""
    version = PublishedRateCard.version
    return select(func.array_agg(aggregate_order_by(version, version))).scalar_subquery()


async def read_followed(
    work: Work, contracts: Sequence[Contract], versions: Sequence[str] | None = None
) -> list[RateCard]:
    """Read the published cards where one of the contracts ever follows the newest; else none.

    `versions` are theirs where they have been read already; that saves a statement.
    """
    return await read_published(work, versions) if any(_follows_newest(row) for row in contracts) else []


async def read_published(work: Work, versions: Sequence[str] | None = None) -> list[RateCard]:
    """Read all published cards, by their versions, where these are known already."""
    if versions is None:
        versions = await work.session.scalar(select(select_published_versions())) or ()
    return [await get_rate_card(work, version) for version in versions]


async def follow_cards(work: Work, contract: Contract, published: Sequence[RateCard]) -> tuple[RateCard, ...]:
    """Get the cards that a contract follows, the one of its signing first; `published` are those there are."""
    signed_on = await get_rate_card(work, contract.rate_card_version)
    pinned = {each["values"].get("pinned_version") for each in contract.changes} - {None, signed_on.version}
    others = [await get_rate_card(work, version) for version in sorted(pinned)]
    if _follows_newest(contract):
        later = (card for card in published if card.effective_from >= signed_on.effective_from)
        others += [card for card in later if card.version not in {signed_on.version, *pinned}]
    return (signed_on, *others)


def _follows_newest(contract: Contract) -> bool:
    """Tell whether a contract follows the newest card, from its signing or from an amendment on."""
    amended = (each["values"].get("card_choice") for each in contract.changes)
    return CardChoice.NEWEST in {contract.card_choice, *amended}


async def get_rate_card(work: Work, version: str) -> RateCard:
    """Get a published card by its version, which must exist."""
    known = work.services.versions.find(RateCard, version)
    if known is not None:
        return known
    row = await work.session.get_one(PublishedRateCard, version)
    return work.services.versions.keep(version, parse_card(row))


def parse_card(row: PublishedRateCard) -> RateCard:
    return RateCard.from_json_dict(row.document)
