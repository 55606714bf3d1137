"""Whether the lines of a month's invoice are what its charges come to, rounded as invoices are. Pure."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import zip_longest

from pricing.commitment import Attainment, compute_owed
from pricing.evidence.document import BasisRecord, Evidence, LineRecord, Where
from pricing.money import Money, round_to_fen
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.rating import price_usage
from pricing.rounding import ExactLine, InvoicedLine, round_segment, share_amount, share_taken_back
from pricing.tiers import TieredUsage, TierSchedule, return_settlement, settle_tiers
from pricing.usage import METERS, Unit

Numbered = tuple[int, LineRecord]


def check_used(evidence: Evidence) -> Iterator[Where]:
    """Check the lines of usage: each is what its charges come to, its rate segment rounded once and shared out."""
    charged = _count_charged(evidence)
    lines: defaultdict[Hashable, list[Numbered]] = defaultdict(list)
    for numbered in enumerate(evidence.lines):
        if numbered[1].is_used:
            lines[_key_of(numbered[1])].append(numbered)
    for key in charged.keys() - lines.keys():
        yield "lines", f"none bills {charged[key]} units of {key}"
    for key, members in lines.items():
        billed = sum(line.quantity or 0 for _index, line in members)
        if billed != charged[key]:
            yield _name(members[0]), f"bills {billed}; its charges come to {charged[key]}"
    yield from _check_amounts(lines)


def _key_of(line: LineRecord) -> Hashable:
    return line.job_id, line.used_month, line.meter, line.unit_price, line.billable


def _count_charged(evidence: Evidence) -> Counter[Hashable]:
    """Count what is charged of each line; what the month has taken back of itself is taken off."""
    counts: Counter[Hashable] = Counter()
    for charge in evidence.charges:
        if charge.cause is None and charge.corrects_month in {None, evidence.invoice.month}:
            counts[charge.line_key] += charge.quantity
    return +counts


def _check_amounts(lines: Mapping[Hashable, list[Numbered]]) -> Iterator[Where]:
    segments: defaultdict[Hashable, list[list[Numbered]]] = defaultdict(list)
    for members in lines.values():
        first = members[0][1]
        if first.meter not in METERS or first.unit_price is None or first.unit_price < 0:
            yield _name(members[0]), "has no meter, or no price, that usage could be billed by"
            continue
        segments[first.used_month, first.meter, first.unit_price, first.billable].append(members)
    for jobs in segments.values():
        jobs.sort(key=lambda members: members[0][1].job_id or "")
        exact = [_price(members) for members in jobs]
        leading = [any(line.leads for _index, line in members) for members in jobs]
        rounded = round_segment(
            [ExactLine(sum(own, Fraction(0)), led) for own, led in zip(exact, leading, strict=True)]
        )
        for members, own, amount in zip(jobs, exact, rounded, strict=True):
            shares = [amount] if len(members) == 1 else share_amount(amount, own)
            for numbered, share in zip(members, shares, strict=True):
                yield from _compare(numbered, share)


def _price(members: Sequence[Numbered]) -> list[Fraction]:
    return [
        price_usage(Unit(line.meter or ""), line.quantity or 0, line.unit_price or Decimal(0))
        for _index, line in members
    ]


def _compare(numbered: Numbered, amount: Money) -> Iterator[Where]:
    if numbered[1].amount != amount:
        yield _name(numbered), f"comes to {amount.format_amount()}, not to {numbered[1].amount.format_amount()}"


def _name(numbered: Numbered) -> str:
    return f"lines[{numbered[0]}]"


def check_other_lines(evidence: Evidence, cards: Mapping[str, RateCard]) -> Iterator[Where]:
    """Check every line that bills no usage of its month; one of a kind that nobody knows is named."""
    yield from _check_places(evidence)
    for numbered in enumerate(evidence.lines):
        line = numbered[1]
        if line.is_used or line.kind == "tax":
            continue
        if line.kind in ALONE:
            yield from ALONE[line.kind](numbered)
        elif line.kind in AMONG_OTHERS:
            yield from AMONG_OTHERS[line.kind](evidence, numbered)
        elif line.kind == "tier_settlement":
            yield from _check_tiers(evidence, numbered, cards)
        else:
            yield _name(numbered), f"is of a kind that evidence does not know: {line.kind}"


def _check_places(evidence: Evidence) -> Iterator[Where]:
    """Check that lines are of this kind of invoice, and that what a grant paid is taken off again by the line after."""
    is_advance = evidence.invoice.kind == "advance"
    for (index, line), after in zip_longest(enumerate(evidence.lines), evidence.lines[1:]):
        if line.kind != "tax" and (line.kind == "commitment") != is_advance:
            yield f"lines[{index}]", f"is of {line.kind}, which no invoice of kind {evidence.invoice.kind} bills"
        is_taken_off = after is not None and after.kind == "advance"
        if line.kind in OF_USAGE and not line.billable and not is_taken_off:
            yield f"lines[{index}]", "was paid by a grant, but no line after it takes it off again"


def _check_taken_off(evidence: Evidence, numbered: Numbered) -> Iterator[Where]:
    index, line = numbered
    before = evidence.lines[index - 1] if index else None
    if (
        before is None
        or before.kind not in OF_USAGE
        or before.billable
        or (before.job_id, before.quantity) != (line.job_id, line.quantity)
    ):
        yield _name(numbered), "takes off nothing: the line before it is not of the same usage, paid by a grant"
        return
    yield from _compare(numbered, -before.amount)


def _check_taken_back(evidence: Evidence, numbered: Numbered) -> Iterator[Where]:
    line, basis = numbered[1], numbered[1].basis
    if basis is None or basis.line_quantity is None or basis.line_amount is None or basis.returns is None:
        yield _name(numbered), "does not tell the line that it takes back of"
        return
    back = -sum(
        charge.quantity
        for charge in evidence.charges
        if charge.cause is None
        and (charge.line_key, charge.rate_card_version) == (_key_of(line), line.rate_card_version)
        and charge.corrects_month == basis.closed_month
    )
    told = sum(each.quantity for each in basis.returns)
    if not back == told == -(line.quantity or 0):
        yield _name(numbered), f"takes back {-(line.quantity or 0)}; its charges come to {back}, its returns to {told}"
    yield from _compare(numbered, -_sum_returns(basis, basis.line_quantity, basis.line_amount))


def _sum_returns(basis: BasisRecord, quantity: int, amount: Money) -> Money:
    """Sum up what comes back; nothing of what cannot come back of the line."""
    total = Money.zero()
    for each in basis.returns or ():
        if 0 <= each.quantity <= quantity - each.before:
            total += share_taken_back(InvoicedLine(quantity, amount, each.before, each.credited), each.quantity)
    return total


def _check_tiers(evidence: Evidence, numbered: Numbered, cards: Mapping[str, RateCard]) -> Iterator[Where]:
    line = numbered[1]
    closed = None if line.basis is None else line.basis.closed_month
    months = {None, evidence.invoice.month} if closed is None else {closed}
    sums: Counter[tuple[Unit, Decimal, str, PlanName]] = Counter()
    for charge in evidence.charges:
        at_own_price = charge.cause is None and charge.grant_id is None and charge.meter == line.meter
        if at_own_price and charge.corrects_month in months:
            plan = charge.plan or evidence.invoice.plan
            sums[charge.meter, charge.unit_price, charge.rate_card_version, plan] += charge.quantity
    if not {version for _meter, _price, version, _plan in sums} <= cards.keys():
        yield _name(numbered), "rests on a rate card that is not in the file"
        return
    usages = [
        TieredUsage(meter, abs(quantity), price, _find_schedule(cards[version], plan, meter))
        for (meter, price, version, plan), quantity in sums.items()
        if quantity
    ]
    if closed is None:
        yield from _compare(numbered, settle_tiers(usages))
    else:
        settled = line.basis.settled_quantity if line.basis is not None else None
        yield from _compare(numbered, return_settlement(usages, settled or 0))


def _find_schedule(card: RateCard, plan: PlanName, meter: Unit) -> TierSchedule | None:
    terms = card.terms(plan)
    tiers = terms.tiers.of(meter)
    return None if tiers is None else TierSchedule(meter, terms.price_of(meter), tiers)


def _check_true_up(numbered: Numbered) -> Iterator[Where]:
    basis = numbered[1].basis
    if basis is None or basis.commitments is None or basis.asked_before is None or basis.given_up is None:
        yield _name(numbered), "does not tell the commitment that it charges for"
        return
    years = [[Attainment(year.committed, year.used, year.unit_price) for year in own] for own in basis.commitments]
    owed = sum((compute_owed(own) for own in years), Money.zero())
    yield from _compare(numbered, max(owed, basis.given_up) - basis.asked_before)


def _check_guarantee(numbered: Numbered) -> Iterator[Where]:
    told = None if numbered[1].basis is None else numbered[1].basis.guarantee
    if told is None:
        yield _name(numbered), "does not tell what was guaranteed"
        return
    share = Fraction(told.microseconds, told.of_microseconds)
    yield from _compare(numbered, round_to_fen(told.gpus * Fraction(told.price.to_decimal()) * share))


def _check_borne(evidence: Evidence, numbered: Numbered) -> Iterator[Where]:
    yield from _compare(numbered, Money.zero())
    own = _borne_key(numbered[1])
    told = sum(line.quantity or 0 for line in evidence.lines if line.kind == "borne" and _borne_key(line) == own)
    borne = sum(
        charge.quantity
        for charge in evidence.charges
        if charge.cause is not None and (charge.job_id, charge.used_month, charge.meter, charge.cause) == own
    )
    if told != borne:
        yield _name(numbered), f"{told} are told to be borne; the charges come to {borne}"


def _borne_key(line: LineRecord) -> Hashable:
    return line.job_id, line.used_month, line.meter, None if line.basis is None else line.basis.cause


def _check_commitment(numbered: Numbered) -> Iterator[Where]:
    line = numbered[1]
    if line.meter not in METERS or line.unit_price is None or line.quantity is None or line.quantity < 0:
        yield _name(numbered), "has no quantity of a meter at a price"
        return
    yield from _compare(numbered, round_to_fen(price_usage(line.meter, line.quantity, line.unit_price)))


def check_total(evidence: Evidence) -> Iterator[Where]:
    """Check places, tax and total: the lines add up to the fen."""
    invoice, tax = evidence.invoice, evidence.invoice.tax_terms
    if [line.position for line in evidence.lines] != list(range(1, len(evidence.lines) + 1)):
        yield "lines", "are not numbered from 1 on, each once"
    base = _sum(line for line in evidence.lines if line.kind != "tax")
    computed = tax.compute(base)
    on_lines = [numbered for numbered in enumerate(evidence.lines) if numbered[1].kind == "tax"]
    for numbered in on_lines:
        yield from _compare(numbered, computed)
    on_top = tax.mode == "on_top"
    is_taxed = any(line.kind not in {"tax", "borne"} for line in evidence.lines)
    if len(on_lines) != (on_top and is_taxed):
        yield "lines", f"tax is {tax.mode.value}, but there are {len(on_lines)} lines of it"
    if invoice.tax != computed:
        yield "invoice.tax", f"comes to {computed.format_amount()}, not to {invoice.tax.format_amount()}"
    total = base + computed if on_top else base
    if invoice.total != total:
        yield "invoice.total", f"comes to {total.format_amount()}, not to {invoice.total.format_amount()}"


def _sum(lines: Iterator[LineRecord]) -> Money:
    return sum((line.amount for line in lines), Money.zero())


OF_USAGE = frozenset({"usage", "correction"})
# By kind: lines that tell all that they rest on, and those that rest on other lines or charges.
ALONE = {"true_up": _check_true_up, "guarantee": _check_guarantee, "commitment": _check_commitment}
AMONG_OTHERS = {"advance": _check_taken_off, "correction": _check_taken_back, "borne": _check_borne}
