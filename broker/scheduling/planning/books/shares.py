"""Contracts and queues as they are planned: what is said of them, and what runs from them."""

from dataclasses import dataclass, field

from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueState


@dataclass(eq=False, slots=True)
class ContractBook:
    """A contract as it is planned: its share, the GPUs that it holds and by how many jobs.

    `dedicated`: those from its own queue, by type.
    """

    share: ContractShare
    held: int = 0
    jobs: int = 0
    dedicated: dict[str, int] = field(default_factory=dict)

    def find_guaranteed(self, sku: str) -> int:
        return sum(each.gpus for each in self.share.guarantees if each.sku == sku)

    def has_guaranteed_left(self, sku: str, gpus: int) -> bool:
        """Tell whether so many GPUs more of a type are within what is guaranteed."""
        return self.dedicated.get(sku, 0) + gpus <= self.find_guaranteed(sku)

    def lacks_promised(self, guarantee: Guarantee, gpus: int) -> bool:
        """Tell whether so many GPUs more are within what was sold, of which machines that failed leave less."""
        promised = guarantee.promised
        return promised is not None and guarantee.gpus < self.dedicated.get(guarantee.sku, 0) + gpus <= promised


@dataclass(eq=False, slots=True)
class QueueBook:
    """A queue as it is planned: what is said of it, and how much runs from it. `state` None: there is none.

    `gpu_seconds` are expected of the starts of the plan under way.
    """

    name: str
    state: QueueState | None = None
    jobs: int = 0
    gpus: int = 0
    gpu_seconds: int = 0

    def count(self, contract: ContractBook, sku: str, gpus: int, jobs: int) -> None:
        """Count a job of this queue and its GPUs of a type as held from now on; below zero: as held no longer."""
        contract.held += gpus
        contract.jobs += jobs
        self.gpus += gpus
        self.jobs += jobs
        if self.state is not None and self.state.contract_id == contract.share.contract_id:
            contract.dedicated[sku] = contract.dedicated.get(sku, 0) + gpus


class ShareBooks:
    """The contracts and queues that are planned, by name; `guaranteed` are the contracts with a guarantee."""

    def __init__(self) -> None:
        self.contracts: dict[str, ContractBook] = {}
        self.queues: dict[str, QueueBook] = {}
        self.guaranteed: set[ContractBook] = set()

    def change_contract(self, share: ContractShare) -> None:
        """Take a contract's share as it is from now on."""
        contract = self.provide_contract(share.contract_id)
        contract.share = share
        (self.guaranteed.add if share.guarantees else self.guaranteed.discard)(contract)

    def provide_contract(self, contract_id: str) -> ContractBook:
        """Provide what is known of a contract."""
        contract = self.contracts.get(contract_id)
        if contract is None:
            contract = self.contracts[contract_id] = ContractBook(ContractShare(contract_id))
        return contract

    def provide_queue(self, name: str) -> QueueBook:
        """Provide what is known of a queue."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = QueueBook(name)
        return queue

    def find_queue(self, name: str) -> QueueState | None:
        """Find what is said of a queue."""
        queue = self.queues.get(name)
        return None if queue is None else queue.state
