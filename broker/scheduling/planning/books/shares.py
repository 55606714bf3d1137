"""Contracts and queues as they are planned: what is said of them, and what runs from them."""

from dataclasses import dataclass, field

from broker.scheduling.planning.values.queues import ContractShare, QueueState


@dataclass(eq=False, slots=True)
class ContractBook:
    """A contract as it is planned: its share, and the GPUs that it holds; `dedicated`: from its own queue, by type."""

    share: ContractShare
    held: int = 0
    dedicated: dict[str, int] = field(default_factory=dict)

    def find_guaranteed(self, sku: str) -> int:
        return sum(each.gpus for each in self.share.guarantees if each.sku == sku)

    def has_guaranteed_left(self, sku: str, gpus: int) -> bool:
        """Tell whether so many GPUs more of a type are within what is guaranteed."""
        return self.dedicated.get(sku, 0) + gpus <= self.find_guaranteed(sku)


@dataclass(eq=False, slots=True)
class QueueBook:
    """A queue as it is planned: what is said of it, and how much runs from it. `state` None: there is none."""

    name: str
    state: QueueState | None = None
    jobs: int = 0
    gpus: int = 0

    def count(self, contract: ContractBook, sku: str, gpus: int, jobs: int) -> None:
        """Count a job of this queue and its GPUs of a type as held from now on; below zero: as held no longer."""
        contract.held += gpus
        self.gpus += gpus
        self.jobs += jobs
        if self.state is not None and self.state.contract_id == contract.share.contract_id:
            contract.dedicated[sku] = contract.dedicated.get(sku, 0) + gpus
