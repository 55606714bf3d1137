"""An invoice broken down by a label (`team`): what its lines come to for each value of it. No price depends on one.

A line's amount is shared among the values by the usage of their intervals, to the fen, by largest remainder: so the
shares add up to the line. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from pricing.evidence.document import ChargeRecord, Evidence, IntervalRecord, LineRecord
from pricing.money import Money
from pricing.rounding import share_amount
from pricing.usage import Unit

Weights = Mapping[str | None, Fraction]
Numbered = Mapping[tuple[str, int], IntervalRecord]


@dataclass(frozen=True)
class LabelShares:
    """Amounts by the values of a label, those without it under None; `undivided` is of no usage, such as tax."""

    amounts: Mapping[str | None, Money]
    undivided: Money


def share_by_label(evidence: Evidence, label: str) -> LabelShares:
    """Share what an invoice asks for among the values of a label; all of it adds up to the total."""
    intervals = {
        (run.run_id, each.sequence): each for run in evidence.runs for each in run.intervals if each.corrects is None
    }
    charges = _group_charges(evidence)
    amounts: defaultdict[str | None, Money] = defaultdict(Money.zero)
    undivided, before = Money.zero(), dict[str | None, Fraction]()
    for line in evidence.lines:
        if line.kind != "advance":
            before = _weigh(charges[_key_of(line)], line, intervals, label) if line.is_used else {}
        shares = _share(line.amount, before)
        for value, amount in shares.items():
            amounts[value] += amount
        undivided += line.amount - sum(shares.values(), Money.zero())
    return LabelShares(dict(amounts), undivided)


def _group_charges(evidence: Evidence) -> Mapping[object, list[ChargeRecord]]:
    groups: defaultdict[object, list[ChargeRecord]] = defaultdict(list)
    for charge in evidence.charges:
        if charge.cause is None and charge.corrects_month in {None, evidence.invoice.month}:
            groups[charge.line_key].append(charge)
    return groups


def _key_of(line: LineRecord) -> object:
    return line.job_id, line.used_month, line.meter, line.unit_price, line.billable


def _weigh(
    charges: Iterable[ChargeRecord], line: LineRecord, intervals: Numbered, label: str
) -> dict[str | None, Fraction]:
    """Weigh the values of a label by the usage that a line's charges have of their intervals."""
    weights: Counter[str | None] = Counter()
    for charge in charges:
        told = [intervals[charge.run_id, number] for number in range(charge.first, charge.last + 1)]
        units = sum(each.count(charge.meter) for each in told)
        for each in told:
            if units:
                share = Fraction(charge.quantity * each.count(Unit(line.meter or "")), units)
                weights[each.labels.get(label)] += share  # type: ignore[assignment]
    return {value: Fraction(weight) for value, weight in weights.items() if weight > 0}


def _share(amount: Money, weights: Weights) -> dict[str | None, Money]:
    whole = sum(weights.values(), Fraction(0))
    if not whole:
        return {}
    sign, size = (-1, -amount) if amount.micros < 0 else (1, amount)
    order = sorted(weights, key=lambda value: (value is None, value or ""))
    exact = [Fraction(size.to_decimal()) * weights[value] / whole for value in order]
    return {value: each * sign for value, each in zip(order, share_amount(size, exact), strict=True)}
