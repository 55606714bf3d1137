"""The part of a draft that settles volume tiers: what they take off the month's charges, one line a meter."""

from collections.abc import Mapping, Sequence

from broker.billing.lines.usage import METER_NAMES
from broker.billing.model import DraftLine, LineKind
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms
from broker.http.shapes import as_hours
from broker.ledger import service as ledger
from broker.ledger.service import Volume
from broker.work import Work
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.tiers import TieredUsage, TierSchedule, settle_tiers
from pricing.usage import METERS, Unit


async def tier_lines(work: Work, terms: ContractTerms, month: str) -> list[DraftLine]:
    """Draft the lines of a month's volume tiers; none where no card that priced it has tiers that were reached."""
    volumes = await ledger.list_volumes(work, terms.id, month)
    versions = sorted({volume.rate_card_version for volume in volumes})
    cards = {version: await contracts.get_rate_card(work, version) for version in versions}
    return draft_tier_lines(volumes, cards, terms.plan, month)


def draft_tier_lines(
    volumes: Sequence[Volume], cards: Mapping[str, RateCard], plan: PlanName, month: str
) -> list[DraftLine]:
    """Draft what tiers take off, by the cards of the versions that priced the month. `plan` is the contract's own."""
    lines = []
    for meter in METERS:
        own = [volume for volume in volumes if volume.meter == meter]
        amount = settle_tiers([_to_usage(volume, cards[volume.rate_card_version], plan) for volume in own])
        quantity = sum(volume.quantity for volume in own)
        if amount.micros:
            text = f"volume tiers, {_describe(meter, quantity)} in {month}"
            newest = max((cards[volume.rate_card_version] for volume in own), key=lambda card: card.effective_from)
            lines.append(
                DraftLine(
                    kind=LineKind.TIER_SETTLEMENT,
                    description=text,
                    amount=amount,
                    meter=meter,
                    quantity=quantity,
                    rate_card_version=newest.version,
                )
            )
    return lines


def _to_usage(volume: Volume, card: RateCard, plan: PlanName) -> TieredUsage:
    terms = card.terms(volume.plan or plan)
    tiers = terms.tiers.of(volume.meter)
    schedule = None if tiers is None else TierSchedule(volume.meter, terms.price_of(volume.meter), tiers)
    return TieredUsage(volume.meter, volume.quantity, volume.unit_price, schedule)


def _describe(meter: Unit, quantity: int) -> str:
    return f"{as_hours(quantity)} GPU-hours" if meter == Unit.GPU_SECONDS else f"{quantity} {METER_NAMES[meter]}"
