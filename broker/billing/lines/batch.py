"""One month of several contracts, drafted together: what all parts of their drafts need is read once for all."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.ledger.service import CapturedUsage
from broker.metering.outside.streams import StreamKey, list_stream_keys
from broker.work import Work


class OfContract(Protocol):
    """What is of a contract."""

    @property
    def contract_id(self) -> str: ...


Group = TypeVar("Group", bound=OfContract)


@dataclass(frozen=True)
class MonthBatch:
    """A month of contracts, by their ids, with what it charges each: the lines of its usage. Streams are by their ids.

    A single contract is a batch of one.
    """

    month: str
    terms: Mapping[str, ContractTerms]
    charged: Mapping[str, Sequence[CapturedUsage]] = field(default_factory=dict)
    streams: Mapping[str, StreamKey] = field(default_factory=dict)

    @property
    def ids(self) -> Collection[str]:
        return self.terms.keys()


async def read_batch(work: Work, terms: Mapping[str, ContractTerms], month: str) -> MonthBatch:
    """Read what a month charges contracts; the caller holds their locks."""
    charged = await ledger.list_captured_usage(work, month, contract_ids=terms.keys())
    several = {each.id for each in terms.values() if len(each.cards) > 1}
    if several:
        whole = [group for group in charged if group.contract_id not in several]
        split = [group for group in charged if group.contract_id in several]
        charged = [*whole, *await ledger.split_by_version(work, several, month, split)]
    return MonthBatch(month, terms, group_by_contract(charged), await list_stream_keys(work, terms.keys()))


def group_by_contract(groups: Iterable[Group]) -> defaultdict[str, list[Group]]:
    """Group what is of several contracts by contract, in the order in which it is told."""
    found: defaultdict[str, list[Group]] = defaultdict(list)
    for group in groups:
        found[group.contract_id].append(group)
    return found
