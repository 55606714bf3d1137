"""Whether the charges of an invoice are those of its intervals, at the prices of its cards and grants. Pure."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pricing.evidence.document import ChargeRecord, Evidence, GrantRecord, IntervalRecord, RunRecord, Where
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.usage import METERS, Unit

Span = tuple[str, int, int]


@dataclass(frozen=True)
class Prices:
    """By what charges are priced: cards by version, grants by id, and the GPU types of runs."""

    cards: Mapping[str, RateCard]
    grants: Mapping[str, GrantRecord]
    gpu_types: Mapping[str, str | None]


def check_charges(evidence: Evidence, prices: Prices) -> Iterator[Where]:
    """Check every charge: its intervals are there and come to it, and its price is that of its card or grant."""
    runs = {run.run_id: run for run in evidence.runs}
    first_charges: defaultdict[Span, Counter[Unit]] = defaultdict(Counter)
    added: defaultdict[tuple[str, str], Counter[Unit]] = defaultdict(Counter)
    for index, charge in enumerate(evidence.charges):
        yield from _check_charge(f"charges[{index}]", charge, runs, prices)
        if charge.corrects is not None:
            continue
        if charge.added_by is None:
            first_charges[charge.run_id, charge.first, charge.last][charge.meter] += charge.quantity
        else:
            added[charge.run_id, charge.added_by][charge.meter] += charge.quantity
    yield from _check_intervals(first_charges, runs)
    yield from _check_added(added, runs)
    yield from _check_corrections(evidence)


def _check_charge(where: str, charge: ChargeRecord, runs: Mapping[str, RunRecord], prices: Prices) -> Iterator[Where]:
    run = runs.get(charge.run_id)
    if run is None or run.job_id != charge.job_id:
        yield where, f"run {charge.run_id} of {charge.job_id} is not in the file"
    if charge.corrects is None and charge.quantity <= 0:
        yield where, "takes back, but names no charge that it corrects"
    if charge.cause is not None or charge.corrects is not None:
        return  # what is borne or taken back has the price at which it was charged before
    if charge.grant_id is not None:
        grant = prices.grants.get(charge.grant_id)
        if grant is None or (grant.unit_price, grant.meter) != (charge.unit_price, charge.meter):
            yield where, f"{charge.unit_price} is not the price of grant {charge.grant_id}"
        elif charge.billable and grant.is_paid_for:
            yield where, f"is billed, but grant {grant.id} was paid in advance, or is a gift"
        return
    yield from _check_card_price(where, charge, prices)


def _check_card_price(where: str, charge: ChargeRecord, prices: Prices) -> Iterator[Where]:
    card = prices.cards.get(charge.rate_card_version)
    if card is None:
        yield where, f"rate card {charge.rate_card_version} is not in the file"
        return
    plans = list(PlanName) if charge.plan is None else [charge.plan]
    gpu_type = prices.gpu_types.get(charge.run_id)
    listed = {plan: card.prices(plan, gpu_type).of(charge.meter) for plan in plans}
    if charge.unit_price not in listed.values():
        told = ", ".join(f"{price} on {plan.value}" for plan, price in listed.items())
        yield where, f"{charge.unit_price} is not the price by card {card.version}: that is {told}"


def _check_intervals(charges: Mapping[Span, Counter[Unit]], runs: Mapping[str, RunRecord]) -> Iterator[Where]:
    by_number = {run_id: _index(run) for run_id, run in runs.items()}
    reached: dict[str, int] = {}
    for (run_id, first, last), charged in sorted(charges.items(), key=lambda item: item[0]):
        where, known = f"run {run_id}, intervals {first} to {last}", by_number.get(run_id, {})
        if first <= reached.get(run_id, first - 1):
            yield where, "are charged, but some of them are charged with others, too"
        reached[run_id] = max(last, reached.get(run_id, last))
        is_there = 0 <= last - first < len(known)
        told = [each for number in range(first, last + 1) for each in known.get(number, ())] if is_there else []
        if len(told) != last - first + 1 or len({each.sequence for each in told}) != len(told):
            yield where, "are charged, but are not all in the file, each once"
            continue
        yield from _compare(where, charged, told)


def _index(run: RunRecord) -> dict[int, list[IntervalRecord]]:
    """Find the intervals of a run by their numbers, without what amends them."""
    by_number: defaultdict[int, list[IntervalRecord]] = defaultdict(list)
    for interval in run.intervals:
        if interval.corrects is None:
            by_number[interval.sequence].append(interval)
    return by_number


def _check_added(charges: Mapping[tuple[str, str], Counter[Unit]], runs: Mapping[str, RunRecord]) -> Iterator[Where]:
    for (run_id, event_id), charged in charges.items():
        intervals = () if run_id not in runs else runs[run_id].intervals
        told = [each for each in intervals if each.event_id == event_id and each.corrects is not None]
        yield from _compare(f"run {run_id}, correction {event_id}", charged, told[:1])


def _compare(where: str, charged: Counter[Unit], told: Sequence[IntervalRecord]) -> Iterator[Where]:
    for meter in METERS:
        measured = sum(max(0, each.count(meter)) for each in told)
        if measured != charged[meter]:
            yield where, f"come to {measured} {meter.value}; {charged[meter]} are charged or borne"


def _check_corrections(evidence: Evidence) -> Iterator[Where]:
    """Check that what corrects a charge takes back of that one alone, and no more than it charged."""
    charges = {charge.id: charge for charge in evidence.charges}
    left = Counter({charge.id: charge.quantity for charge in evidence.charges})
    for index, charge in enumerate(evidence.charges):
        if charge.corrects is None:
            continue
        where, corrected = f"charges[{index}]", charges.get(charge.corrects)
        if charge.quantity >= 0 and charge.cause is None:
            yield where, f"charges more, as a correction of charge {charge.corrects}: of no interval of its own"
        if charge.corrects_month in {None, evidence.invoice.month} and not _is_of(charge, corrected):
            yield where, f"corrects charge {charge.corrects}, which is not in the file, or is of other usage"
        left[charge.corrects] += min(0, charge.quantity)
        if corrected is not None and left[charge.corrects] < 0:
            yield where, f"takes back more than charge {charge.corrects} has charged"


def _is_of(charge: ChargeRecord, corrected: ChargeRecord | None) -> bool:
    """Tell whether a correction is of another charge's usage and price, and takes back what that one is."""
    if corrected is None or _describe_usage(charge) != _describe_usage(corrected):
        return False
    return charge.quantity >= 0 or (charge.cause, charge.billable) == (corrected.cause, corrected.billable)


def _describe_usage(charge: ChargeRecord) -> Hashable:
    span = charge.job_id, charge.run_id, charge.first, charge.last
    return span, charge.meter, charge.unit_price, charge.used_month
