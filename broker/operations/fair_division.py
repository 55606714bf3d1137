"""What each contract is due of the GPUs of one type: its guarantee, and by weight of the rest that others want. Pure.

It is the division that is as even as wishes allow (max-min fairness, weighted): nobody could have more without taking
it from one who has less for its weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Claim:
    """What a contract has and wants of one GPU type. Units: whole GPUs; the weight is in hundredths.

    `held_within`: of those held, those that its guarantee covers. `waiting`: what its waiting jobs need.
    """

    contract_id: str
    guaranteed: int = 0
    held: int = 0
    held_within: int = 0
    waiting: int = 0
    weight: int = 100

    @property
    def wanted(self) -> int:
        return self.held + self.waiting


def divide_fairly(capacity: int, claims: Sequence[Claim]) -> dict[str, Fraction]:
    """Divide GPUs by what each is due, by contract; where guarantees exceed them, each gets its part of that."""
    due = {each.contract_id: Fraction(min(each.guaranteed, each.wanted)) for each in claims}
    guaranteed = sum(due.values(), Fraction(0))
    if guaranteed > capacity:
        return {contract_id: part * capacity / guaranteed for contract_id, part in due.items()}
    left, open_claims = capacity - guaranteed, [each for each in claims if due[each.contract_id] < each.wanted]
    while left > 0 and open_claims:
        parts = _split(left, open_claims)
        satisfied = [each for each in open_claims if each.wanted - due[each.contract_id] <= parts[each.contract_id]]
        for each in satisfied or open_claims:
            part = min(each.wanted - due[each.contract_id], parts[each.contract_id])
            due[each.contract_id] += part
            left -= part
        open_claims = [each for each in open_claims if each not in satisfied] if satisfied else []
    return due


def _split(left: Fraction, claims: Sequence[Claim]) -> Mapping[str, Fraction]:
    weights = sum(each.weight for each in claims)
    return {each.contract_id: left * each.weight / weights for each in claims}


def spread(total: int, rooms: Mapping[str, int]) -> dict[str, int]:
    """Spread whole GPUs over rooms in proportion to these, by the largest remainder; none gets more than its room."""
    whole = sum(rooms.values())
    if whole == 0:
        return dict.fromkeys(rooms, 0)
    exact = {name: Fraction(min(total, whole) * room, whole) for name, room in rooms.items()}
    given = {name: int(part) for name, part in exact.items()}
    behind = sorted(rooms, key=lambda name: (given[name] - exact[name], name))
    for name in behind[: min(total, whole) - sum(given.values())]:
        given[name] += 1
    return given
