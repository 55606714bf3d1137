"""What orders are decided from as the last batch has left it: remembered, and confirmed before anything is written.

A contract's terms, grants and reserves are remembered with the version of its reserves. As long as the version is the
same, nothing has come to them and no rule of theirs has changed. Others may have taken of them, which the constraint on
balances refuses to give twice. So what was decided by heart is what would be decided from the rows, or is not written.
What is bounded by more than balances, by a budget or a credit limit, is read each time; so is what holds less than the
whole job needs, since what is left beside the hold decides its types and prices then.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from cachetools import LRUCache

from broker.base_models import service as base_models
from broker.capacity import service as capacity
from broker.contracts.reading.candidates import Place, list_candidates, lock_remembered, require_cards
from broker.contracts.terms.model import ContractTerms, GrantTerms, QuoteGuarantee
from broker.datasets import service as datasets
from broker.datasets.service import KeptDataset
from broker.jobs.admitting.admission import AdmissionPlan, AdmissionSnapshot, Order
from broker.jobs.admitting.admission_batch import FoundRows
from broker.ledger import service as ledger
from broker.ledger.service import ContractBooks, HoldSnapshot
from broker.persistence.driver import Command
from broker.quotes.service import Quote
from pricing.catalog.offered import OfferedModels

Known = TypeVar("Known")
# So many contracts, data sets and projects of each are remembered.
KEPT = 4096


def remember() -> MutableMapping[Any, Any]:
    """Make a memory of those last used."""
    return LRUCache(KEPT)


@dataclass(frozen=True)
class KnownContract:
    """A contract's terms and grants, and its books as the last batch has left them."""

    terms: ContractTerms
    grants: Sequence[GrantTerms]
    books: ContractBooks

    def decides_at(self, moment: datetime) -> bool:
        """Tell whether what the contract gives at a moment is decided by its version and its balances alone."""
        reserves = self.books.reserves
        is_bounded = reserves.room is not None or reserves.credit is not None
        holds_all = self.terms.quote_guarantee == QuoteGuarantee.PAUSE
        return (
            holds_all
            and not is_bounded
            and not self.terms.changes
            and reserves.month == self.terms.billing_month(moment)
        )


@dataclass(frozen=True)
class CommonTerms:
    """What all customers have in common: the base models on offer with their version, and the published cards."""

    offered: OfferedModels
    offer_version: str
    cards: Sequence[str] | None


@dataclass(frozen=True)
class Supposition:
    """What orders of whatever customers are decided from by heart."""

    common: CommonTerms
    places: Collection[Place]
    moment: datetime
    contracts: Mapping[str, KnownContract]
    datasets: Mapping[str, KeptDataset]
    projects: Mapping[str, str]
    quotes: Mapping[str, Quote]

    def lock(self) -> list[Command]:
        """Make the commands that keep the data sets and lock the contracts."""
        kept = datasets.require_kept(self.datasets, seen_by={place.customer_id for place in self.places})
        return [kept, lock_remembered(self.places, self.moment)]

    def require(self, entries: Collection[capacity.Entry]) -> list[Command]:
        """Make the commands that end their message where anything is not as supposed; locks come before them.

        That these jobs have entered their queues is one of the things to be looked at.
        """
        books = {key: each.books for key, each in self.contracts.items()}
        return [
            require_cards(self.common.cards),
            ledger.require_versions(self.places, self.moment, books),
            base_models.require_offer(self.common.offer_version),
            capacity.require_room(entries),
        ]

    def imagine(self) -> dict[str, AdmissionSnapshot]:
        """Imagine the snapshot of each customer, of what is its own."""
        contracts = _share_out(self.contracts, lambda each: each.terms.customer_id)
        datasets = _share_out(self.datasets, lambda each: each.customer_id)
        quotes = _share_out(self.quotes, lambda each: each.customer_id)
        projects = _share_out(self.projects, str)
        return {
            customer_id: AdmissionSnapshot(
                moment=self.moment,
                offered=self.common.offered,
                quotes=quotes[customer_id],
                datasets=datasets[customer_id],
                projects=projects[customer_id],
                contracts={key: (each.terms, each.grants) for key, each in contracts[customer_id].items()},
                holds=_imagine_holds(contracts[customer_id]),
                ordered={},
            )
            for customer_id in {place.customer_id for place in self.places}
        }


def _share_out(known: Mapping[str, Known], find_owner: Callable[[Known], str]) -> defaultdict[str, dict[str, Known]]:
    """Share what is known out among the customers whose it is."""
    shares: defaultdict[str, dict[str, Known]] = defaultdict(dict)
    for key, each in known.items():
        shares[find_owner(each)][key] = each
    return shares


def _imagine_holds(contracts: Mapping[str, KnownContract]) -> HoldSnapshot:
    return HoldSnapshot({key: each.books.after(each.books.reserves) for key, each in contracts.items()}, {})


def _list_candidates(snapshot: AdmissionSnapshot, place: Place) -> frozenset[str]:
    """List the contracts that a use at a place may run under."""
    terms = list_candidates(snapshot.contracts, place.contract_id, snapshot.moment)
    return frozenset(each.id for each in terms)


def _find_all(known: Mapping[str, Known], wanted: Collection[str]) -> Mapping[str, Known] | None:
    """Find all that is wanted; None where one is not known."""
    return {each: known[each] for each in wanted} if all(each in known for each in wanted) else None


@dataclass
class Remembered:
    """What a process remembers of contracts, data sets and projects, and of what all customers have in common."""

    contracts: MutableMapping[str, KnownContract] = field(default_factory=remember)
    candidates: MutableMapping[Place, Collection[str]] = field(default_factory=remember)
    datasets: MutableMapping[str, KeptDataset] = field(default_factory=remember)
    projects: MutableMapping[str, str] = field(default_factory=remember)
    common: CommonTerms | None = None

    def suppose(self, orders: Sequence[Order], moment: datetime, quotes: Mapping[str, Quote]) -> Supposition | None:
        """Suppose what orders of customers are decided from; None where some of it is not known by heart."""
        requests = [order.request for order in orders]
        places = {request.place for request in requests}
        contracts = self._find_contracts(places, moment)
        kept = _find_all(self.datasets, {request.dataset_id for request in requests})
        projects = _find_all(self.projects, {each.project_id for each in requests if each.project_id is not None})
        are_quoted = all(request.quote_id is None or request.quote_id in quotes for request in requests)
        hold_all = all(request.max_cost is None for request in requests)
        if (
            self.common is None
            or contracts is None
            or kept is None
            or projects is None
            or not (are_quoted and hold_all)
        ):
            return None
        return Supposition(self.common, places, moment, contracts, kept, projects, quotes)

    def _find_contracts(self, places: Collection[Place], moment: datetime) -> Mapping[str, KnownContract] | None:
        """Find the contracts of all places; None where one is not known, or does not decide by heart."""
        if not all(map(self.candidates.get, places)):
            return None
        found = _find_all(self.contracts, {each for place in places for each in self.candidates[place]})
        return found if found and all(each.decides_at(moment) for each in found.values()) else None

    def keep_read(self, places: Collection[Place], plans: Mapping[str, AdmissionPlan], found: FoundRows) -> None:
        """Remember what was read for a batch, as the batch has left it."""
        self.keep_left(plans)
        for plan in plans.values():
            self.datasets.update(plan.snapshot.datasets)
            self.projects.update(plan.snapshot.projects)
            offered = plan.snapshot.offered
        for place in places:
            self.candidates[place] = _list_candidates(plans[place.customer_id].snapshot, place)
        if found.locked:
            self.common = CommonTerms(offered, found.offer[0][0], cards=found.locked[0][-1])

    def keep_left(self, plans: Mapping[str, AdmissionPlan]) -> None:
        """Remember what a batch has left of the reserves of its contracts."""
        for plan in plans.values():
            for contract_id, (terms, grants) in plan.snapshot.contracts.items():
                books = plan.snapshot.holds.books[contract_id].after(plan.reserves[contract_id])
                self.contracts[contract_id] = KnownContract(terms, grants, books)

    def forget(self, places: Collection[Place]) -> None:
        """Forget the contracts of these places: what was supposed of one of them was not so."""
        for place in places:
            self.candidates.pop(place, None)
