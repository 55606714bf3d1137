"""What another policy would have done to a recorded queue."""

from typing import Any, TypedDict

from broker.client.objects.values import Money


class Measures(TypedDict):
    """How the jobs of one contract in one queue fared in a replayed window."""

    started: int
    still_waiting: int
    avg_wait_s: float | None
    p90_wait_s: float | None
    avg_bounded_slowdown: float | None
    gpu_seconds: float
    utilisation: float
    cost: Money
    preemptions: int
    deadlines_missed: int
    guarantees_missed: int
    guarantee_gpu_seconds_missed: float


class GroupComparison(TypedDict):
    contract_id: str
    queue: str
    today: Measures
    proposed: Measures


class PoolMeasures(TypedDict):
    gpu_seconds: float
    utilisation: float


class PoolComparison(TypedDict):
    pool: str
    today: PoolMeasures
    proposed: PoolMeasures


class LaterStart(TypedDict):
    job_id: str
    contract_id: str
    queue: str
    today: str
    proposed: str | None


class Comparison(TypedDict):
    """A recorded window today beside what was proposed."""

    jobs: int
    starts_reproduced: float | None
    groups: list[GroupComparison]
    pools: list[PoolComparison]
    later_count: int
    later: list[LaterStart]
    earlier_count: int
    starved: tuple[int, int]


class QueueSimulation(TypedDict):
    """A simulation that ops asked for; `result` is there once it is done."""

    id: str
    status: str
    progress: float
    proposal: dict[str, Any]
    begins_at: str
    ends_at: str
    fault: str | None
    result: Comparison | None
    created_at: str
