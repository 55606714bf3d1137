"""Rate cards: published once, listed, and in force from their day."""

from broker.contracts.cards import rate_cards
from broker.contracts.cards.publishing import publish_rate_card
from broker.contracts.rate_card_schemas import RateCardIn, RateCardOut
from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.paging import cut_page
from broker.http.shapes import Limit, NameCursor, Page

router = feature_router("/rate-cards", "rate cards")


@router.post("", status_code=201)
async def create_rate_card(work: FinanceWork, body: RateCardIn) -> RateCardOut:
    """Publish a rate card. It never changes again: other prices are another version, from a later day."""
    row = await publish_rate_card(work, body.read_card())
    return RateCardOut.of(await rate_cards.get_listed_card(work, row.version))


@router.get("")
async def list_rate_cards(work: BillingReader, limit: Limit = 20, cursor: NameCursor = None) -> Page[RateCardOut]:
    """List the published rate cards, that of the latest day first."""
    listed = await rate_cards.list_cards(work)
    page, after = cut_page(listed, lambda each: each.card.version, limit=limit, cursor=cursor)
    return Page(data=[RateCardOut.of(each) for each in page], next_cursor=after)


@router.get("/{version}")
async def get_rate_card(work: BillingReader, version: str) -> RateCardOut:
    """Get a published rate card by its version."""
    return RateCardOut.of(await rate_cards.get_listed_card(work, version))
