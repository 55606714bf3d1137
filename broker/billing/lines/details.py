"""What the lines of usage tell beside their price: project, list price, which grants paid, what none covers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from broker.billing.lines.batch import MonthBatch, group_by_contract
from broker.billing.model import AppliedGrant, DraftLine, LineDetails, LineKind
from broker.contracts import service as contracts
from broker.jobs import service as jobs
from broker.ledger import service as ledger
from broker.ledger.service import LinePart
from broker.work import Work
from pricing.money import Money, round_quotient_to_fen, round_to_fen
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.rating import divide_price
from pricing.usage import Unit


@dataclass(frozen=True)
class Origins:
    """Where usage comes from: projects by job or stream, GPU types by run or stream."""

    projects: Mapping[str, str | None]
    gpu_types: Mapping[str, str | None]


@dataclass(frozen=True)
class ListPrices:
    """What usage costs without a contract, by the cards' versions; `overage`: of a contract that has grants."""

    cards: Mapping[str, RateCard]
    origins: Origins
    has_grants: bool
    known: dict[tuple[str, str | None, Unit], Decimal] = field(default_factory=dict, compare=False, repr=False)

    def price(self, part: LinePart) -> Decimal:
        """Find the on-demand price of a part's unit, by the card that priced it, on the GPU type that it ran on."""
        gpu_type = self.origins.gpu_types.get(part.run_id)
        asked = (part.rate_card_version, gpu_type, part.meter)
        if asked not in self.known:
            card = self.cards[part.rate_card_version]
            self.known[asked] = card.prices(PlanName.ON_DEMAND, gpu_type).of(part.meter)
        return self.known[asked]


async def add_details(
    work: Work, batch: MonthBatch, lines: Mapping[str, Sequence[DraftLine]]
) -> Mapping[str, Sequence[DraftLine]]:
    """Add to the lines of a month's usage what they tell beside their price; no amount changes."""
    told = [each for each, own in lines.items() if any(line.job_id for line in own)]
    if not told:
        return lines
    parts = await ledger.list_line_parts(work, told, batch.month)
    origins = await _read_origins(work, batch, (line for each in told for line in lines[each]), parts)
    versions = sorted({part.rate_card_version for part in parts})
    cards = {version: await contracts.get_rate_card(work, version) for version in versions}
    granted = {grant.contract_id for grant in await contracts.list_grants_of(work, told)}
    own_parts = group_by_contract(parts)
    prices = {has_grants: ListPrices(cards, origins, has_grants) for has_grants in (False, True)}
    detailed = {each: detail_lines(lines[each], own_parts[each], prices[each in granted]) for each in told}
    return {**lines, **detailed}


async def _read_origins(
    work: Work, batch: MonthBatch, lines: Iterable[DraftLine], parts: Iterable[LinePart]
) -> Origins:
    streams = batch.streams
    job_ids = {line.job_id for line in lines if line.job_id is not None} - streams.keys()
    run_ids = {part.run_id for part in parts} - streams.keys()
    projects = {job_id: origin.project_id for job_id, origin in (await jobs.list_origins(work, job_ids)).items()}
    gpu_types = await jobs.list_gpu_types(work, run_ids)
    return Origins(
        projects | {stream_id: key.project_id for stream_id, key in streams.items()},
        gpu_types | {stream_id: key.gpu_type for stream_id, key in streams.items()},
    )


PartKey = tuple[str | None, str | None, Unit | None, Decimal | None, bool]


def detail_lines(lines: Sequence[DraftLine], parts: Iterable[LinePart], prices: ListPrices) -> list[DraftLine]:
    """Add to each line what its parts tell: a line that takes usage off again tells whose it is, no more. Pure."""
    by_line: defaultdict[PartKey, list[LinePart]] = defaultdict(list)
    for part in parts:
        by_line[part.job_id, part.used_month, part.meter, part.unit_price, part.billable].append(part)
    told = Counter(_key_of(line) for line in lines if _is_used(line))
    return [_detail(line, by_line[_key_of(line)], prices, is_split=told[_key_of(line)] > 1) for line in lines]


def _key_of(line: DraftLine) -> PartKey:
    return line.job_id, line.used_month, line.meter, line.unit_price, line.billable


def _is_used(line: DraftLine) -> bool:
    """Tell whether a line bills usage of its month, or late usage: not what is taken back of a closed one."""
    return line.kind in {LineKind.USAGE, LineKind.CORRECTION} and (line.quantity or 0) > 0


def _detail(line: DraftLine, parts: Sequence[LinePart], prices: ListPrices, *, is_split: bool) -> DraftLine:
    project_id = prices.origins.projects.get(line.job_id or "")
    if not _is_used(line):
        return replace(line, details=LineDetails(project_id=project_id))
    own = [part for part in parts if not is_split or part.rate_card_version == line.rate_card_version]
    listed = Counter[Decimal]()
    for part in own:
        listed[prices.price(part)] += max(0, part.quantity)
    uncovered = sum(part.quantity for part in own if part.grant_id is None)
    details = LineDetails(
        project_id=project_id,
        list_price=next(iter(listed)) if len(listed) == 1 else None,
        list_amount=_price_listed(line.meter, listed),
        grants=_sum_grants(own),
        overage=uncovered if prices.has_grants and line.meter == Unit.GPU_SECONDS else 0,
    )
    return replace(line, details=details)


def _price_listed(meter: Unit | None, listed: Mapping[Decimal, int]) -> Money:
    """Price usage at list prices, by which it is told, rounded once; mostly there is one, and nothing to add up."""
    quotients = [divide_price(meter, quantity, price) for price, quantity in listed.items()] if meter else []
    if len(quotients) == 1:
        return round_quotient_to_fen(*quotients[0])
    return round_to_fen(sum((Fraction(*each) for each in quotients), Fraction(0)))


def _sum_grants(parts: Iterable[LinePart]) -> tuple[AppliedGrant, ...]:
    sums: Counter[str] = Counter()
    for part in parts:
        if part.grant_id is not None:
            sums[part.grant_id] += part.quantity
    return tuple(AppliedGrant(grant_id, quantity) for grant_id, quantity in sorted(sums.items()))
