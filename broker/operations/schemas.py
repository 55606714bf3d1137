"""API shapes of what ops sees and does across features."""

from datetime import datetime
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.capacity.model import NodeState, Readiness
from broker.capacity.schemas import QueueOut
from broker.http.shapes import Reason, RequestBody
from broker.operations.applying import Applied
from broker.operations.standing import Standing
from broker.scheduling.schemas import EffectsOut
from broker.work import Change

APPLIED_CURE = "undo it, or raise the limit"


class UndoneOut(BaseModel):
    object: Literal["undone_decision"] = Field(
        default="undone_decision", description="Kind of object.", examples=["undone_decision"]
    )
    undoes: str = Field(description="The entry of the decision that was taken back.", examples=["aud_01k"])
    kind: Literal["queue", "pool", "job", "jobs", "contract_quota", "simulation", "key_limit", "customer_limit"] = (
        Field(description="Kind of what it was about.", examples=["queue"])
    )
    id: str = Field(description="Its id, or name.", examples=["standard"])
    before: dict[str, Any] = Field(description="By field, as it was until now.", examples=[{"weight": 200}])
    after: dict[str, Any] = Field(description="By field, as it is again.", examples=[{"weight": 100}])

    @classmethod
    def of(cls, change: Change) -> "UndoneOut":
        told = {"undoes": change.undoes, "kind": change.kind, "id": change.object_id}
        return cls.model_validate({**told, "before": change.before, "after": change.after})


class ApplyIn(RequestBody):
    reason: Reason


class AppliedOut(EffectsOut):
    object: Literal["applied_simulation"] = Field(
        default="applied_simulation", description="Kind of object.", examples=["applied_simulation"]
    )
    id: str = Field(description="The simulation.", examples=["sim_01k"])
    before: dict[str, Any] = Field(description="By setting, as it was.", examples=[{"queues standard weight": 100}])
    after: dict[str, Any] = Field(description="By setting, as it is now.", examples=[{"queues standard weight": 200}])
    stopping: list[str] = Field(
        description="The jobs beyond a limit that was lowered: they save, stop, and wait again.", examples=[["job_01k"]]
    )
    lost_runs: list[str] = Field(
        description="The runs that were lost with machines which are down.", examples=[["run_01k"]]
    )

    @classmethod
    def of(cls, applied: Applied) -> "AppliedOut":
        change = applied.change
        told = cls.tell(applied.effects, "", APPLIED_CURE)
        return cls(
            id=change.object_id,
            before=dict(change.before),
            after=dict(change.after),
            stopping=applied.stopping,
            lost_runs=applied.lost_runs,
            **told,
        )


class QueueViewOut(QueueOut):
    waiting_jobs: int = Field(description="Jobs that wait in it.", examples=[12])
    waiting_gpus: int = Field(description="GPUs that they need.", examples=[16])
    oldest_waiting_at: datetime | None = Field(
        description="When the one that has waited longest came (UTC).", examples=["2026-11-24T10:00:00Z"]
    )
    running_jobs: int = Field(description="Jobs of it that hold GPUs.", examples=[3])
    held_gpus: int = Field(description="GPUs that they hold.", examples=[4])


class PoolViewOut(BaseModel):
    name: str = Field(description="Name of the pool.", examples=["a100"])
    sku: str = Field(description="Type of its devices.", examples=["a100-80g"])
    state: Readiness = Field(description="Whether it takes jobs now, or why not.", examples=["open"])
    state_reason: str | None = Field(description="The same as a sentence; null: it is open.", examples=[None])
    total_gpus: int = Field(description="Whole devices (or CPU slots) that take starts.", examples=[16])
    held_gpus: int = Field(description="Of these, held by runs.", examples=[12])
    nodes: dict[NodeState, int] = Field(description="How many machines are in which state.", examples=[{"open": 2}])
    next_maintenance_at: datetime | None = Field(
        description="When it is worked on next, or since when (UTC).", examples=["2026-12-01T02:00:00Z"]
    )


class TypeStandingOut(BaseModel):
    sku: str = Field(description="The GPU type.", examples=["a100-80g"])
    guaranteed_gpus: int = Field(description="GPUs that are guaranteed to it.", examples=[4])
    deserved_gpus: str = Field(
        description="What it would have now if all had what they are due: its guarantee, and by weight of the rest that"
        " contracts want; to two places.",
        examples=["5.50"],
    )
    held_gpus: int = Field(description="GPUs that it holds.", examples=[6])
    share_percent: int | None = Field(
        description="What it holds of what it is due; null: it is due nothing.", examples=[109]
    )
    waiting_gpus: int = Field(description="GPUs that its waiting jobs need.", examples=[2])
    borrowed_gpus: int = Field(
        description="GPUs that it holds of those guaranteed to others, who may take them back.", examples=[1]
    )
    reclaimed_gpus: int = Field(description="Those of them for which their owners wait.", examples=[0])
    lent_gpus: int = Field(description="GPUs guaranteed to it that others hold.", examples=[0])
    idle_gpus: int = Field(description="GPUs guaranteed to it that nobody holds.", examples=[0])
    why: str | None = Field(
        description="Why it waits, against the one that is ahead; null: it waits for nothing.",
        examples=["acme waits because beta, which has used less this week, is ahead."],
    )
    why_zh: str | None = Field(
        description="The same in Chinese.", examples=["acme在等待，因为beta排在前面：它本周用得更少。"]
    )

    @classmethod
    def of(cls, standing: Standing, why: tuple[str, str] | None) -> "TypeStandingOut":
        claim, deserved = standing.claim, standing.deserved
        return cls(
            sku=standing.sku,
            guaranteed_gpus=claim.guaranteed,
            deserved_gpus=write_gpus(deserved),
            held_gpus=claim.held,
            share_percent=round(claim.held * 100 / deserved) if deserved else None,
            waiting_gpus=claim.waiting,
            borrowed_gpus=standing.borrowed,
            reclaimed_gpus=standing.reclaimed,
            lent_gpus=standing.lent,
            idle_gpus=standing.idle,
            why=None if why is None else why[0],
            why_zh=None if why is None else why[1],
        )


def write_gpus(number: Fraction) -> str:
    """Write a part of GPUs to two places, rounded half up."""
    hundredths = (number * 100 + Fraction(1, 2)).__floor__()
    return f"{hundredths // 100}.{hundredths % 100:02d}"


class ContractStandingOut(TypeStandingOut):
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    customer: str = Field(description="Name of its customer.", examples=["acme"])


class PairOut(BaseModel):
    sku: str = Field(description="The GPU type.", examples=["a100-80g"])
    starved_contract_id: str = Field(description="Who waits below what it is due.", examples=["con_01k"])
    starved: str = Field(description="Its customer's name.", examples=["acme"])
    borrowing_contract_id: str = Field(description="Who holds more than it is due.", examples=["con_02k"])
    borrowing: str = Field(description="Its customer's name.", examples=["beta"])
    gpus: str = Field(description="GPUs that would have to move, to two places.", examples=["2.00"])


class OverviewOut(BaseModel):
    object: Literal["overview"] = Field(default="overview", description="Kind of object.", examples=["overview"])
    as_of: datetime = Field(description="When it was so (UTC).", examples=["2026-11-24T10:00:00Z"])
    queues: list[QueueViewOut] = Field(
        description="The queues in the planner's order; of more than 200, those first in which something is.",
        examples=[[]],
    )
    queue_count: int = Field(description="So many there are in all.", examples=[3])
    pools: list[PoolViewOut] = Field(description="The pools by name, the first 200.", examples=[[]])
    pool_count: int = Field(description="So many there are in all.", examples=[2])
    waiting_by_reason: dict[str, int] = Field(
        description="Jobs that wait, by the reason that they were told.", examples=[{"waiting_for_gpus": 3}]
    )
    contracts: list[ContractStandingOut] = Field(
        description="How contracts stand that hold or want GPUs or have a guarantee; the hundred that hold and want"
        " most.",
        examples=[[]],
    )
    contract_count: int = Field(description="So many stand so in all, by type.", examples=[2])
    starved_and_borrowing: list[PairOut] = Field(
        description="Who waits below what it is due, beside who holds more; the twenty of most GPUs.", examples=[[]]
    )
    idle_guaranteed_gpus: dict[str, int] = Field(
        description="GPUs by type that are guaranteed to somebody and held by nobody.", examples=[{"a100-80g": 2}]
    )


class StandingOut(BaseModel):
    object: Literal["standing"] = Field(default="standing", description="Kind of object.", examples=["standing"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    as_of: datetime = Field(description="When it was so (UTC).", examples=["2026-11-24T10:00:00Z"])
    types: list[TypeStandingOut] = Field(
        description="By GPU type, where it holds or wants GPUs or has a guarantee.", examples=[[]]
    )
