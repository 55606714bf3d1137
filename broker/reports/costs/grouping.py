"""Grouping costs by what is asked for: whatever that is, the sums of the rows are the same. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from broker.reports.costs.costs import Costs, Fact, Place


class Dimension(StrEnum):
    """What rows are told apart by."""

    CUSTOMER = "customer"
    CONTRACT = "contract"
    CONTRACT_NUMBER = "contract_number"
    PLAN = "plan"
    PROJECT = "project"
    GPU_TYPE = "gpu_type"


COLUMN_OF = {
    Dimension.CUSTOMER: "customer_id",
    Dimension.CONTRACT: "contract_id",
    Dimension.CONTRACT_NUMBER: "contract_number",
    Dimension.PLAN: "plan",
    Dimension.PROJECT: "project_id",
    Dimension.GPU_TYPE: "gpu_type",
}
AS_EVER = (Dimension.CUSTOMER, Dimension.CONTRACT, Dimension.PROJECT)
# What a dimension says of others: a contract has one customer, number and plan in a month.
TELLS = {
    Dimension.CONTRACT: (Dimension.CUSTOMER, Dimension.CONTRACT_NUMBER, Dimension.PLAN),
    Dimension.PROJECT: (Dimension.CUSTOMER,),
}
Key = tuple[str | None, ...]


@dataclass(frozen=True)
class Filters:
    """What facts are left out by: those of other projects, GPU types, plans or contract numbers than these."""

    wanted: Mapping[str, str] = field(default_factory=dict)

    def keep(self, place: Place) -> bool:
        return all(getattr(place, name) == value for name, value in self.wanted.items())


@dataclass(frozen=True)
class CostRow:
    """A group of costs by the columns of `Place` that it is told apart by; the others are None.

    `before` is what the same group came to in the month before, where that is asked for.
    """

    place: Mapping[str, str | None]
    costs: Costs
    final: bool
    before: Costs | None = None


def find_columns(group_by: Iterable[Dimension]) -> list[str]:
    """Find the columns that rows have: those that they are told apart by, and what these say of others."""
    told = {column for each in group_by for column in (each, *TELLS.get(each, ()))}
    return [COLUMN_OF[each] for each in Dimension if each in told]


def group_facts(facts: Iterable[Fact], columns: Sequence[str], filters: Filters) -> dict[Key, tuple[Costs, bool]]:
    """Add up facts by these columns; a group is final where all of it is."""
    places = [Place._fields.index(name) for name in columns]
    groups: dict[Key, tuple[list[int], bool]] = {}
    for place, costs, final in facts:
        if not filters.keep(place):
            continue
        key = tuple(place[index] for index in places)
        sums, others = groups.get(key, ((0,) * len(costs.values), True))
        groups[key] = [mine + more for mine, more in zip(sums, costs.values, strict=True)], others and final
    return {key: (Costs(*sums), final) for key, (sums, final) in groups.items()}


def make_rows(
    groups: Mapping[Key, tuple[Costs, bool]],
    columns: Sequence[str],
    before: Mapping[Key, tuple[Costs, bool]] | None = None,
) -> list[CostRow]:
    """Make rows of groups; with `before` also of what there was in the month before, and is no more."""
    keys = groups if before is None else {**before, **groups}
    nothing = (Costs(), True)
    return [
        CostRow(
            dict(zip(columns, key, strict=True)),
            *groups.get(key, nothing),
            before=None if before is None else before.get(key, nothing)[0],
        )
        for key in keys
    ]
