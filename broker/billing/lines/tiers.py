"""The part of a draft that settles volume tiers: what they take off the month's charges, one line a meter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from broker.billing.lines.batch import MonthBatch, group_by_contract
from broker.billing.lines.usage import METER_NAMES
from broker.billing.model import DraftLine, LineKind
from broker.contracts import service as contracts
from broker.http.shapes import as_hours
from broker.ledger import service as ledger
from broker.ledger.service import Volume
from broker.work import Work
from pricing.money import Money
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.tiers import TieredUsage, TierSchedule, return_settlement, settle_tiers
from pricing.usage import METERS, Unit


async def tier_lines(work: Work, batch: MonthBatch) -> Mapping[str, list[DraftLine]]:
    """Draft the lines of a month's volume tiers; none where no card that priced it has tiers that were reached.

    Of a charge that the month takes back of a closed one, a further line keeps what that one's tiers had taken off.
    """
    tiered = {each.id for each in batch.terms.values() if any(card.has_tiers for card in each.cards)}
    if not tiered:
        return {}
    volumes = await ledger.list_volumes(work, tiered, batch.month)
    closed = sorted({each.month for each in volumes} - {batch.month})
    settled = [each for month in closed for each in await ledger.list_volumes(work, tiered, month)]
    cards, own_settled = await _read_cards(work, volumes), group_by_contract(settled)
    tariffs = {each: Tariff(cards, batch.terms[each].plan) for each in tiered}
    return {
        each: draft_tiers(own, own_settled[each], tariffs[each], batch.month)
        for each, own in group_by_contract(volumes).items()
    }


def draft_tiers(volumes: Sequence[Volume], settled: Sequence[Volume], tariff: "Tariff", month: str) -> list[DraftLine]:
    """Draft the lines of one contract's tiers: of the month itself, and of each closed one that it takes back of."""
    lines = draft_settlement([each for each in volumes if each.month == month], tariff, month)
    for closed in sorted({each.month for each in volumes} - {month}):
        taken_back, before = ([each for each in own if each.month == closed] for own in (volumes, settled))
        lines += draft_return(taken_back, before, tariff, closed)
    return lines


async def _read_cards(work: Work, volumes: Iterable[Volume]) -> dict[str, RateCard]:
    versions = sorted({volume.rate_card_version for volume in volumes})
    return {version: await contracts.get_rate_card(work, version) for version in versions}


@dataclass(frozen=True)
class Tariff:
    """By what a month was priced: the cards of its versions, and the contract's own plan."""

    cards: Mapping[str, RateCard]
    plan: PlanName

    def price(self, volume: Volume) -> TieredUsage:
        """Take a volume, above zero, as the tiers of its price count it."""
        terms = self.cards[volume.rate_card_version].terms(volume.plan or self.plan)
        tiers, meter = terms.tiers.of(volume.meter), volume.meter
        schedule = None if tiers is None else TierSchedule(meter, terms.price_of(meter), tiers)
        return TieredUsage(meter, abs(volume.quantity), volume.unit_price, schedule)

    def find_newest(self, volumes: Iterable[Volume]) -> str:
        """Find the version of the card among theirs that began last."""
        cards = (self.cards[volume.rate_card_version] for volume in volumes)
        return max(cards, key=lambda card: (card.effective_from, card.version)).version


def draft_settlement(volumes: Sequence[Volume], tariff: Tariff, month: str) -> list[DraftLine]:
    """Draft what tiers take off a month's own charges."""
    lines = []
    for meter in METERS:
        own = _of(meter, volumes)
        amount = settle_tiers([tariff.price(volume) for volume in own])
        text = f"volume tiers, {_describe(meter, _count(own))} in {month}"
        lines += _draft(own, tariff, text, amount)
    return lines


def draft_return(
    taken_back: Sequence[Volume], settled: Sequence[Volume], tariff: Tariff, closed: str
) -> list[DraftLine]:
    """Draft what is not paid out of charges that are taken back of a closed month: what its tiers had taken off."""
    lines = []
    for meter in METERS:
        own = _of(meter, taken_back)
        amount = return_settlement([tariff.price(volume) for volume in own], _count(_of(meter, settled)))
        text = f"volume tiers of {_describe(meter, -_count(own))} taken back of {closed}"
        basis = {"closed_month": closed, "settled_quantity": _count(_of(meter, settled))}
        lines += [replace(line, basis=basis) for line in _draft(own, tariff, text, amount)]
    return lines


def _draft(volumes: Sequence[Volume], tariff: Tariff, text: str, amount: Money) -> list[DraftLine]:
    if not amount.micros:
        return []
    version = tariff.find_newest(volumes)
    line = DraftLine(
        kind=LineKind.TIER_SETTLEMENT,
        description=text,
        amount=amount,
        meter=volumes[0].meter,
        quantity=_count(volumes),
        rate_card_version=version,
    )
    return [line]


def _of(meter: Unit, volumes: Iterable[Volume]) -> list[Volume]:
    return [volume for volume in volumes if volume.meter == meter]


def _count(volumes: Iterable[Volume]) -> int:
    return sum(volume.quantity for volume in volumes)


def _describe(meter: Unit, quantity: int) -> str:
    return f"{as_hours(quantity)} GPU-hours" if meter == Unit.GPU_SECONDS else f"{quantity} {METER_NAMES[meter]}"
