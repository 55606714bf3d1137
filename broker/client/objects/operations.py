"""What ops sees and decides: queues, pools, how contracts stand, the audit."""

from typing import Any, Literal, NotRequired, TypedDict

from broker.client.objects.values import Effects, Stops


class QueueSettings(TypedDict):
    """A queue as it is set."""

    name: str
    priority: int
    state: Literal["open", "holding", "draining"]
    weight: int
    max_wait_seconds: int | None
    max_jobs: int | None
    max_gpus: int | None
    allowed_pools: list[str] | None
    max_gpu_hours: NotRequired[int | None]
    window_hours: NotRequired[int | None]
    lending_limit: NotRequired[int | None]
    contract_id: str | None


class Queue(QueueSettings, Stops):
    """A queue as it is set; effects are told of one that was changed."""


class QueueView(QueueSettings):
    """A queue with what waits and runs of it."""

    waiting_jobs: int
    waiting_gpus: int
    oldest_waiting_at: str | None
    running_jobs: int
    held_gpus: int


class Node(TypedDict):
    """A machine of a pool."""

    name: str
    gpus: int
    state: Literal["open", "draining", "down"]


class Maintenance(TypedDict):
    """When a pool, or machines of it, are worked on."""

    begins_at: str
    ends_at: str
    nodes: list[str] | None


class Pool(Effects):
    """A pool; `nodes` are told to staff, `lost_runs` where machines were declared down."""

    name: str
    sku: str
    engine: str
    total_gpus: int
    nodes: list[Node] | None
    open: bool
    discipline: str
    maintenance: list[Maintenance]
    least_run_seconds: int | None
    stops_per_hour: int | None
    state: str
    state_reason: str | None
    lost_runs: NotRequired[list[str]]


class PoolView(TypedDict):
    """A pool with what is held of it."""

    name: str
    sku: str
    state: str
    state_reason: str | None
    total_gpus: int
    held_gpus: int
    nodes: dict[str, int]
    next_maintenance_at: str | None


class TypeStanding(TypedDict):
    """How a contract stands on a GPU type; `why` it waits, against the one ahead."""

    sku: str
    guaranteed_gpus: int
    deserved_gpus: str
    held_gpus: int
    share_percent: int | None
    waiting_gpus: int
    borrowed_gpus: int
    reclaimed_gpus: int
    lent_gpus: int
    idle_gpus: int
    why: str | None
    why_zh: str | None


class ContractStanding(TypeStanding):
    """The same with the contract's customer, for staff."""

    contract_id: str
    customer: str


class Standing(TypedDict):
    """How a contract stands on each GPU type."""

    contract_id: str
    as_of: str
    types: list[TypeStanding]


class Pair(TypedDict):
    """Who waits below what it is due, beside who holds more of the same type."""

    sku: str
    starved_contract_id: str
    starved: str
    borrowing_contract_id: str
    borrowing: str
    gpus: str


class Overview(TypedDict):
    """What ops sees at one moment."""

    as_of: str
    queues: list[QueueView]
    queue_count: int
    pools: list[PoolView]
    pool_count: int
    waiting_by_reason: dict[str, int]
    contracts: list[ContractStanding]
    contract_count: int
    starved_and_borrowing: list[Pair]
    idle_guaranteed_gpus: dict[str, int]


class Changed(TypedDict):
    """What a decision changed, by field."""

    kind: str
    id: str
    before: dict[str, Any]
    after: dict[str, Any]


class Undone(Changed):
    """A decision that was taken back: `undoes` names it."""

    undoes: str


class AuditEntry(TypedDict):
    """A decision of staff."""

    id: str
    action: str
    object_id: str | None
    customer_id: str | None
    actor_role: str
    actor_id: str
    sent: dict[str, Any]
    changed: Changed | None
    undoes: str | None
    created_at: str
