"""What a customer submits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.contracts.reading.candidates import Place
from pricing.estimate.type_choice import Preference
from pricing.money import Money


@dataclass(frozen=True)
class BatchPlace:
    """The place of a request among those of one batch, from 0, of which `at_once` may run at one time; None: all."""

    batch_id: str
    place: int
    at_once: int | None = None


@dataclass(frozen=True)
class OfTemplate:
    """The project of an order and, where it is filled in from a template, its id, and its name with the version."""

    project_id: str | None
    template_id: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class JobRequest:
    """What a customer submits. The job pauses when it has cost `max_cost`.

    `gpus`: so many of one machine share its steps; None: as its quote says, or one. `gpu_types` are those that it may
    run on; None: all of its quote. It should end by `finish_by`. `template` names that which its configuration was
    filled in from, with its version, `tracker` the secret with the address and key of what its runs tell.
    """

    customer_id: str
    config: Mapping[str, Any]
    dataset_id: str
    quote_id: str | None = None
    contract_id: str | None = None
    name: str | None = None
    project_id: str | None = None
    template_id: str | None = None
    template: str | None = None
    tracker: Mapping[str, Any] | None = None
    queue: str | None = None
    max_cost: Money | None = None
    gpus: int | None = None
    gpu_types: tuple[str, ...] | None = None
    prefer: Preference = Preference.CHEAPEST
    finish_by: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    batch: BatchPlace | None = None

    @property
    def place(self) -> Place:
        """Tell where calls take turns: the customer, and the contract if one is named."""
        return Place(self.customer_id, self.contract_id)
