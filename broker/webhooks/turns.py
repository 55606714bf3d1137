"""Whose turn it is to be sent to: few attempts at once to one endpoint and of one customer, so that no backlog keeps
others waiting. Pure.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

# So many attempts of one process are under way at once; of those so many of one customer, and to one endpoint.
MOST_AT_ONCE = 32
MOST_TO_CUSTOMER = 8
MOST_TO_ONE = 4
# One whose last attempt failed may be silent until the end of each: it keeps one place until it takes something.
MOST_TO_FAILING = 1


@dataclass(frozen=True)
class Turn:
    """A delivery that is due or under way: to which endpoint, of which customer."""

    delivery_id: str
    endpoint_id: str
    customer_id: str
    is_failing: bool

    @property
    def most(self) -> int:
        return MOST_TO_FAILING if self.is_failing else MOST_TO_ONE


def list_full(under_way: Iterable[Turn]) -> list[str]:
    """List the endpoints to which as many attempts are under way as may be."""
    found = list(under_way)
    busy = Counter(each.endpoint_id for each in found)
    return sorted({each.endpoint_id for each in found if busy[each.endpoint_id] >= each.most})


def choose_turns(due: Iterable[Turn], under_way: Collection[Turn], *, room: int) -> list[Turn]:
    """Choose what is sent next of what is due, in its order, as far as there is room for each."""
    to_one = Counter(each.endpoint_id for each in under_way)
    of_customer = Counter(each.customer_id for each in under_way)
    chosen: list[Turn] = []
    for each in due:
        is_full = to_one[each.endpoint_id] >= each.most or of_customer[each.customer_id] >= MOST_TO_CUSTOMER
        if len(chosen) < room and not is_full:
            chosen.append(each)
            to_one[each.endpoint_id] += 1
            of_customer[each.customer_id] += 1
    return chosen
