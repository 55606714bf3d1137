"""What ops proposes to change about queues, pools, contracts' shares and jobs, read from a document. Pure.

`docs/simulation.md` has the format, with an example.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare
from broker.scheduling.simulation.bad_proposal import BadProposal
from broker.scheduling.simulation.proposal_fields import HOURS, LENDING, PARTS, WINDOW, Field, lend
from broker.scheduling.simulation.recording import Conditions
from broker.scheduling.simulation.stop_count import StopRules
from broker.scheduling.simulation.window_replay import Proposal

# By name, what is set of it: fields and their values.
Changes = Mapping[str, Mapping[str, Any]]
NEEDED_OF_NEW_POOL = ("sku", "total_gpus")


@dataclass(frozen=True)
class ProposedChanges:
    """What is proposed, by the names of queues and pools, and by the ids of contracts and jobs."""

    queues: Changes
    pools: Changes
    contracts: Changes
    jobs: Changes

    def as_proposal(self, conditions: Sequence[Conditions] = (), stops: StopRules | None = None) -> Proposal:
        """Make it a proposal for a window on these conditions; they say whose own a queue is."""
        owners = _list_owners(conditions)
        lent = {owners[name]: changed[LENDING] for name, changed in self.queues.items() if LENDING in changed}

        def change_share(share: ContractShare) -> ContractShare:
            changed = _apply("contracts", share, self.contracts.get(share.contract_id, {}))
            return lend(changed, lent[share.contract_id]) if share.contract_id in lent else changed

        named = sorted(self.contracts.keys() | lent.keys())
        shares = tuple(change_share(ContractShare(contract_id)) for contract_id in named)
        counted = frozenset(name for name, changed in self.queues.items() if {HOURS, WINDOW} & changed.keys())
        return Proposal(self._change_conditions, change_share, shares, stops, self._change_job, counted)

    def _change_job(self, job: WaitingJob) -> WaitingJob:
        changed: WaitingJob = _apply("jobs", job, self.jobs.get(job.job_id, {}))
        return changed

    def list_unknown(self, queues: Collection[str], pools: Collection[str]) -> dict[str, Collection[str]]:
        """List what is named and is neither there nor proposed as new, by its path, each with what is there.

        No queue or pool is ever removed: one that is not there today was in no window.
        """
        named = [("queues", self.queues.keys(), queues), ("pools", self.pools.keys() - self._list_new(), pools)]
        return {f"{kind}.{name}": there for kind, names, there in named for name in sorted(names) if name not in there}

    def _list_new(self) -> set[str]:
        return {name for name, changed in self.pools.items() if all(field in changed for field in NEEDED_OF_NEW_POOL)}

    def check(self, conditions: Sequence[Conditions], contracts: Collection[str], jobs: Collection[str] = ()) -> None:
        """Check that what is named was there in the window, where `jobs` of `contracts` waited. Raises: BadProposal."""
        queues = {queue.name for told in conditions for queue in told.queues}
        pools = {pool.name for told in conditions for pool in told.pools}
        new = self._list_new()
        _check_there("queues", self.queues, queues)
        _check_there("pools", self.pools, pools, new, "; a new one needs sku and total_gpus")
        _check_there("contracts", self.contracts, set(contracts))
        for job_id in self.jobs.keys() - set(jobs):
            raise BadProposal(f"jobs.{job_id} did not wait in this window")
        self._check_guarantees(conditions, _list_owners(conditions))
        for name, changed in self.queues.items():
            for pool in changed.get("allowed_pools") or ():
                if pool not in pools | new:
                    raise BadProposal(f"queues.{name}.allowed_pools names {pool}, which is no pool of this window")
        for told in conditions:
            for queue in self._change_conditions(told).queues:
                if (queue.limits.gpu_seconds is None) != (queue.limits.window is None):
                    raise BadProposal(
                        f"queues.{queue.name}.{HOURS} and {WINDOW} go together: set both, or both to null"
                    )

    def _check_guarantees(self, conditions: Sequence[Conditions], owners: Mapping[str, str]) -> None:
        for name, changed in self.queues.items():
            if LENDING in changed and name not in owners:
                raise BadProposal(f"queues.{name}.{LENDING} is for a contract's own queue, and this one is everybody's")
        offered: dict[str, int] = {}
        for told in map(self._change_conditions, conditions):
            by_sku: dict[str, int] = {}
            for pool in told.pools:
                by_sku[pool.sku] = by_sku.get(pool.sku, 0) + pool.total_gpus
            offered = {sku: max(offered.get(sku, 0), by_sku.get(sku, 0)) for sku in offered.keys() | by_sku.keys()}
        for contract_id, changed in self.contracts.items():
            field = f"contracts.{contract_id}.guaranteed_gpus"
            if "guaranteed_gpus" in changed and contract_id not in owners.values():
                raise BadProposal(f"{field} serves the contract's own queue, and it has none in this window")
            for sku, gpus in changed.get("guaranteed_gpus", {}).items():
                if gpus > offered.get(sku, 0):
                    raise BadProposal(
                        f"{field}.{sku} is {gpus}, above the {offered.get(sku, 0)} of all pools; add some"
                    )

    def _change_conditions(self, told: Conditions) -> Conditions:
        there = {pool.name for pool in told.pools}
        new = [PoolState(name, "", 0, 0) for name in sorted(self.pools.keys() - there) if self._is_new(name)]
        return replace(
            told,
            queues=tuple(_apply("queues", queue, self.queues.get(queue.name, {})) for queue in told.queues),
            pools=tuple(_apply("pools", pool, self.pools.get(pool.name, {})) for pool in (*told.pools, *new)),
        )

    def _is_new(self, pool: str) -> bool:
        return all(field in self.pools[pool] for field in NEEDED_OF_NEW_POOL)


def _apply(part: str, state: Any, changed: Mapping[str, Any]) -> Any:
    for name, value in changed.items():
        state = PARTS[part][name].apply(state, value)
    return state


def _list_owners(conditions: Sequence[Conditions]) -> dict[str, str]:
    """List the contracts' own queues, with whose they are."""
    told = (queue for each in conditions for queue in each.queues)
    return {queue.name: queue.contract_id for queue in told if queue.contract_id is not None}


def _check_there(
    part: str, changed: Changes, known: Collection[str], new: Collection[str] = (), cure: str = ""
) -> None:
    for name in changed:
        if name not in known and name not in new:
            there = ", ".join(sorted(known)) or "none"
            raise BadProposal(f"{part}.{name} was not there in this window; there were {there}{cure}")


def read_proposal(document: object) -> ProposedChanges:
    """Read a parsed document. Raises: BadProposal."""
    if not isinstance(document, Mapping) or not document:
        raise BadProposal("must hold queues, pools, contracts or jobs with what changes of them")
    for part in document:
        if part not in PARTS:
            raise BadProposal(f"field {part!r} is unknown; the fields are {', '.join(PARTS)}")
    read = {part: _read_part(part, named) for part, named in document.items()}
    return ProposedChanges(**{part: read.get(part, {}) for part in PARTS})


def _read_part(part: str, named: object) -> dict[str, dict[str, Any]]:
    if not isinstance(named, Mapping) or not named:
        raise BadProposal(f"{part} must name what changes, with its fields")
    return {str(name): _read_changes(f"{part}.{name}", changes, PARTS[part]) for name, changes in named.items()}


def _read_changes(path: str, changes: object, known: Mapping[str, Field]) -> dict[str, Any]:
    if not isinstance(changes, Mapping) or not changes:
        raise BadProposal(f"{path} must hold fields: {', '.join(known)}")
    for name in changes:
        if name not in known:
            raise BadProposal(f"{path}.{name} is unknown; the fields are {', '.join(known)}")
    return {name: known[name].read(f"{path}.{name}", changes[name]) for name in known if name in changes}
