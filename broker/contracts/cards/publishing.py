"""Publishing a rate card: it never changes again, and is in force from a day that has begun nowhere yet."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.contracts.tables import PublishedRateCard
from broker.errors import FieldError
from broker.work import Work
from pricing.money import DEFAULT_CURRENCY
from pricing.rate_card import RateCard, RateCardInvalid, check_gpu_types

VERSION_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EARLIEST_ZONE = timedelta(hours=14)  # where on earth a day begins first
LAST_DAY = date(2199, 12, 31)


async def publish_rate_card(work: Work, card: RateCard) -> PublishedRateCard:
    """Publish a new card; nothing that was used before can be priced by it. Raises: InvalidRequest, NameTaken."""
    found = list(find_refusals(card, work.now))
    if found:
        raise refuse_card(found)
    row = insert(PublishedRateCard).values(
        version=card.version, effective_from=card.effective_from, document=card.to_json_dict(), published_at=work.now
    )
    published = row.on_conflict_do_nothing().returning(PublishedRateCard)
    kept = (await work.session.scalars(published)).one_or_none()
    if kept is None:
        message = f"rate card {card.version} is published already and never changes; give other prices a new version"
        raise errors.NameTaken(message, errors=[FieldError("version", message)])
    return kept


def find_refusals(card: RateCard, now: datetime) -> Iterator[FieldError]:
    """Find what keeps a valid card from being published. Pure."""
    if VERSION_PATTERN.fullmatch(card.version) is None:
        yield FieldError("version", "takes letters, digits, dots, dashes and underscores, such as 2027-01-01")
    if card.currency != DEFAULT_CURRENCY:
        yield FieldError("currency", f"must be {DEFAULT_CURRENCY}: contracts and invoices are in yuan")
    first = find_first_day(now)
    if not first <= card.effective_from <= LAST_DAY:
        reason = "an earlier day has begun, and what was used on it has its price"
        yield FieldError("effective_from", f"must be from {first} to {LAST_DAY}: {reason}")
    try:
        check_gpu_types(card)
    except RateCardInvalid as error:
        yield from (FieldError(problem.field, problem.message) for problem in error.problems)


def find_first_day(now: datetime) -> date:
    """Find the first day that has begun nowhere on earth yet: the earliest from which a new card may be in force."""
    return (now + EARLIEST_ZONE).date() + timedelta(days=1)


def refuse_card(found: list[FieldError]) -> errors.InvalidRequest:
    """Make the error that refuses a card, with one message that names all its fields."""
    return errors.InvalidRequest("; ".join(f"{item.field}: {item.message}" for item in found), errors=found)
