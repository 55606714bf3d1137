"""API shapes of tuned queues and of simulations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from broker.capacity.schemas import ContractQuotaOut, PoolOut, QueueOut
from broker.http.shapes import Moment, MoneyOut, RequestBody, created_at_field
from broker.jobs.schemas import JobOut
from broker.jobs.service import Job
from broker.scheduling.cycle.outlook import Effects
from broker.scheduling.tuning import TunedPool, TunedQueue, TunedQuota

MOST_NAMED_IN_TEXT, MOST_STRANDED_TOLD = 5, 100
QUEUE_CURE = "raise max_gpus or max_gpu_hours, or allow a pool that has the GPUs"
QUOTA_CURE = "raise max_gpus"
POOL_CURE = "open a machine that is large enough, or have them submitted anew"
JOB_CURE = "name a GPU type that a pool has"

PROPOSAL_EXAMPLE = {
    "queues": {"standard": {"priority": 150, "max_wait_seconds": 86400}},
    "pools": {"a100": {"total_gpus": 16}},
}


MEASURES_EXAMPLE = {
    "started": 120,
    "still_waiting": 3,
    "avg_wait_s": 95.5,
    "p90_wait_s": 310.0,
    "avg_bounded_slowdown": 1.8,
    "gpu_seconds": 86400.0,
    "utilisation": 0.62,
    "cost": {"amount": "163.20", "currency": "CNY"},
    "preemptions": 0,
    "deadlines_missed": 0,
    "guarantees_missed": 0,
    "guarantee_gpu_seconds_missed": 0.0,
}
POOL_MEASURES_EXAMPLE = {"gpu_seconds": 86400.0, "utilisation": 0.62}
POOL_EXAMPLE = {"pool": "a100", "today": POOL_MEASURES_EXAMPLE, "proposed": POOL_MEASURES_EXAMPLE}
GROUP_EXAMPLE = {
    "contract_id": "con_01k",
    "queue": "standard",
    "today": MEASURES_EXAMPLE,
    "proposed": {**MEASURES_EXAMPLE, "avg_wait_s": 60.0},
}
LATER_EXAMPLE = {
    "job_id": "job_01k",
    "contract_id": "con_01k",
    "queue": "standard",
    "today": "2026-11-28T10:00:00Z",
    "proposed": "2026-11-28T10:20:00Z",
}
BAR_EXAMPLE = {"pool": "a100", "since": "2026-11-28T10:00:00Z", "until": "2026-11-28T11:00:00Z"}
DRAWN_EXAMPLE = {
    "job_id": "job_01k",
    "contract_id": "con_01k",
    "queue": "standard",
    "gpus": 1,
    "came_at": "2026-11-28T09:50:00Z",
    "today": [BAR_EXAMPLE],
    "proposed": [BAR_EXAMPLE],
}
RESULT_EXAMPLE = {
    "jobs": 123,
    "starts_reproduced": 1.0,
    "groups": [GROUP_EXAMPLE],
    "pools": [POOL_EXAMPLE],
    "later_count": 1,
    "later": [LATER_EXAMPLE],
}


class StrandedOut(BaseModel):
    code: Literal["jobs_stranded"] = Field(
        default="jobs_stranded", description="Kind of warning.", examples=["jobs_stranded"]
    )
    message: str = Field(
        description="What it is about, and the cure.", examples=["1 waiting job can never start: job_01k"]
    )
    count: int = Field(description="How many jobs wait and can never start.", examples=[1])
    job_ids: list[str] = Field(description="The hundred that have waited longest.", examples=[["job_01k"]])


class EffectsOut(BaseModel):
    frees: int = Field(
        description="How many waiting jobs can start now that could not before; the next cycle starts them.",
        examples=[2],
    )
    freed_job_ids: list[str] = Field(description="The first hundred of them.", examples=[["job_01k"]])
    warnings: list[StrandedOut] = Field(description="Jobs that wait and can never start.", examples=[[]])

    @classmethod
    def tell(cls, effects: Effects, whose: str, cure: str) -> dict[str, Any]:
        """Tell the effects of a change as fields of its answer; `cure` is what helps those it strands."""
        stranded = [job.job_id for job in effects.stranded]
        return {
            "frees": len(effects.freed),
            "freed_job_ids": effects.freed[:MOST_STRANDED_TOLD],
            "warnings": [_warn_of(whose, cure, stranded)] if stranded else [],
        }


class TunedQueueOut(QueueOut, EffectsOut):
    stopping: list[str] = Field(
        description="The jobs beyond a limit that was lowered: they save, stop, and wait in the queue again.",
        examples=[["job_01k"]],
    )

    @classmethod
    def of_tuned(cls, tuned: TunedQueue, effects: Effects) -> "TunedQueueOut":
        shown = QueueOut.model_validate(tuned.queue).model_dump()
        told = cls.tell(effects, f"of queue {tuned.queue.name}", QUEUE_CURE)
        return cls(**shown, **told, stopping=list(tuned.stopping))


class TunedPoolOut(PoolOut, EffectsOut):
    lost_runs: list[str] = Field(
        description="The runs that were lost with machines which are down; their jobs are queued again, and go first.",
        examples=[["run_01k"]],
    )

    @classmethod
    def of_tuned(cls, tuned: TunedPool, effects: Effects) -> "TunedPoolOut":
        shown = PoolOut.of(tuned.pool, for_staff=True).model_dump()
        return cls(**shown, **cls.tell(effects, "", POOL_CURE), lost_runs=list(tuned.lost_runs))


class TunedQuotaOut(ContractQuotaOut, EffectsOut):
    stopping: list[str] = Field(
        description="The jobs beyond a quota that was lowered: they save, stop, and wait in their queue again.",
        examples=[["job_01k"]],
    )

    @classmethod
    def of_tuned(cls, tuned: TunedQuota, effects: Effects) -> "TunedQuotaOut":
        shown = ContractQuotaOut.model_validate(tuned.quota).model_dump()
        told = cls.tell(effects, f"of contract {tuned.quota.contract_id}", QUOTA_CURE)
        return cls(**shown, **told, stopping=list(tuned.stopping))


class TunedJobOut(JobOut, EffectsOut):
    @classmethod
    def of_tuned(cls, job: Job, effects: Effects, now: datetime) -> "TunedJobOut":
        return cls(**JobOut.of(job, now).model_dump(), **cls.tell(effects, "", JOB_CURE))


class ChangedPrioritiesOut(EffectsOut):
    object: Literal["changed_priorities"] = Field(
        default="changed_priorities", description="Kind of object.", examples=["changed_priorities"]
    )
    job_ids: list[str] = Field(description="The jobs, each once.", examples=[["job_01k"]])
    priority: int | None = Field(description="Their priority from now on; null: their queue's.", examples=[250])

    @classmethod
    def of_tuned(cls, job_ids: Sequence[str], priority: int | None, effects: Effects) -> "ChangedPrioritiesOut":
        return cls(job_ids=list(job_ids), priority=priority, **cls.tell(effects, "", JOB_CURE))


def _warn_of(whose: str, cure: str, stranded: Sequence[str]) -> StrandedOut:
    named = ", ".join(stranded[:MOST_NAMED_IN_TEXT]) + (", …" if len(stranded) > MOST_NAMED_IN_TEXT else "")
    many = "1 waiting job" if len(stranded) == 1 else f"{len(stranded)} waiting jobs"
    message = f"{' '.join(filter(None, (many, whose)))} can never start as things are: {named}; {cure}"
    return StrandedOut(message=message, count=len(stranded), job_ids=list(stranded[:MOST_STRANDED_TOLD]))


class SimulationIn(RequestBody):
    proposal: dict[str, Any] = Field(
        description="What would change of queues, pools, contracts and jobs, by their names or ids; all else stays.",
        examples=[PROPOSAL_EXAMPLE],
    )
    begins_at: Moment = Field(description="Begin of the recorded window.", examples=["2026-11-28T00:00:00Z"])
    ends_at: Moment | None = Field(default=None, description="Its end; null: now.", examples=["2026-11-29T00:00:00Z"])


class GroupMeasuresOut(BaseModel):
    started: int = Field(description="Jobs that started within the window.", examples=[120])
    still_waiting: int = Field(description="Jobs that did not.", examples=[3])
    avg_wait_s: float | None = Field(description="Mean wait of those that started, in seconds.", examples=[95.5])
    p90_wait_s: float | None = Field(description="Nine of ten waited no longer, in seconds.", examples=[310.0])
    avg_bounded_slowdown: float | None = Field(
        description="Time until the end over run time, which counts at least 10 s; mean.", examples=[1.8]
    )
    gpu_seconds: float = Field(description="GPU-seconds held within the window.", examples=[86400.0])
    utilisation: float = Field(description="The same as a share of what all pools had.", examples=[0.62])
    cost: MoneyOut = Field(
        description="What the work done within the window comes to, as the jobs were quoted, by the GPU types that they"
        " ran on.",
        examples=[{"amount": "163.20", "currency": "CNY"}],
    )
    preemptions: int = Field(description="Runs that were stopped for others, in this replay.", examples=[0])
    deadlines_missed: int = Field(description="Dates that passed before the job had ended.", examples=[0])
    guarantees_missed: int = Field(
        description="Times in which the contract had less than it is guaranteed while jobs of its own queue waited, for"
        " over a minute.",
        examples=[0],
    )
    guarantee_gpu_seconds_missed: float = Field(description="What it lacked then.", examples=[0.0])

    @model_validator(mode="before")
    @classmethod
    def _show_cost(cls, measured: dict[str, Any]) -> dict[str, Any]:
        if "cost_micros" not in measured:
            return measured
        return {**measured, "cost": MoneyOut.of_micros(measured["cost_micros"])}


class PoolMeasuresOut(BaseModel):
    gpu_seconds: float = Field(description="GPU-seconds held within the window.", examples=[86400.0])
    utilisation: float = Field(description="The same as a share of what the pool had.", examples=[0.62])


class PoolComparisonOut(BaseModel):
    pool: str = Field(description="The pool.", examples=["a100"])
    today: PoolMeasuresOut = Field(description="As it was.", examples=[POOL_MEASURES_EXAMPLE])
    proposed: PoolMeasuresOut = Field(description="As it would have been.", examples=[POOL_MEASURES_EXAMPLE])


class GroupComparisonOut(BaseModel):
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    queue: str = Field(description="The queue.", examples=["standard"])
    today: GroupMeasuresOut = Field(description="As it was.", examples=[MEASURES_EXAMPLE])
    proposed: GroupMeasuresOut = Field(description="As it would have been.", examples=[MEASURES_EXAMPLE])


class LaterStartOut(BaseModel):
    job_id: str = Field(description="The job.", examples=["job_01k"])
    contract_id: str = Field(description="Its contract.", examples=["con_01k"])
    queue: str = Field(description="Its queue.", examples=["standard"])
    today: datetime = Field(description="When it started.", examples=["2026-11-28T10:00:00Z"])
    proposed: datetime | None = Field(
        description="When it would have; null: not within the window.", examples=["2026-11-28T10:20:00Z"]
    )


class BarOut(BaseModel):
    pool: str = Field(description="The pool.", examples=["a100"])
    since: datetime = Field(description="From then on (UTC).", examples=["2026-11-28T10:00:00Z"])
    until: datetime = Field(description="Until then, or the end of the window.", examples=["2026-11-28T11:00:00Z"])


class DrawnJobOut(BaseModel):
    job_id: str = Field(description="The job.", examples=["job_01k"])
    contract_id: str = Field(description="Its contract.", examples=["con_01k"])
    queue: str = Field(description="Its queue.", examples=["standard"])
    gpus: int = Field(description="GPUs that it needs.", examples=[1])
    came_at: datetime = Field(description="When it came, or came back (UTC).", examples=["2026-11-28T09:50:00Z"])
    today: list[BarOut] = Field(description="When and where it ran; `[]`: not in the window.", examples=[[BAR_EXAMPLE]])
    proposed: list[BarOut] = Field(description="When it would have.", examples=[[BAR_EXAMPLE]])


class ComparisonOut(BaseModel):
    jobs: int = Field(description="Jobs of the window; one that came back counts again.", examples=[123])
    starts_reproduced: float | None = Field(
        description="Share of recorded starts that the replay as it was has in the very same cycle.", examples=[1.0]
    )
    groups: list[GroupComparisonOut] = Field(
        description="By contract and queue, today beside proposed.", examples=[[GROUP_EXAMPLE]]
    )
    pools: list[PoolComparisonOut] = Field(description="By pool, today beside proposed.", examples=[[POOL_EXAMPLE]])
    later_count: int = Field(
        description="Jobs that would have started over a minute later, or not at all.", examples=[2]
    )
    later: list[LaterStartOut] = Field(
        description="The first thousand of them, the latest first.", examples=[[LATER_EXAMPLE]]
    )
    earlier_count: int = Field(
        default=0, description="Jobs that would have started over a minute earlier, or at all.", examples=[4]
    )
    drawn: list[DrawnJobOut] = Field(
        default_factory=list,
        description="When the 200 jobs ran whose start moves the most, and when they would have, by arrival.",
        examples=[[DRAWN_EXAMPLE]],
    )
    starved: tuple[int, int] = Field(
        default=(0, 0),
        description="Jobs that wait at the window's end since an hour or more and have not run in it: today, proposed.",
        examples=[[0, 2]],
    )


class SimulationOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["queue_simulation"] = Field(
        default="queue_simulation", description="Kind of object.", examples=["queue_simulation"]
    )
    id: str = Field(description="Id of the simulation.", examples=["sim_01k"])
    status: Literal["queued", "running", "done", "failed"] = Field(
        description="Ask again until it is done or failed.", examples=["done"]
    )
    progress: float = Field(description="Share of the work that is done.", examples=[1.0])
    proposal: dict[str, Any] = Field(description="What was proposed.", examples=[PROPOSAL_EXAMPLE])
    settings: dict[str, dict[str, dict[str, Any]]] | None = Field(
        description="What was set of queues, pools and the contracts that it names when it was asked for, by name;"
        " null: it is of before.",
        examples=[{"queues": {"standard": {"priority": 100}}}],
    )
    begins_at: datetime = Field(description="Begin of the window.", examples=["2026-11-28T00:00:00Z"])
    ends_at: datetime = Field(description="Its end.", examples=["2026-11-29T00:00:00Z"])
    fault: Annotated[str | None, Field(description="Why it failed, and the cure.", examples=[None])]
    result: ComparisonOut | None = Field(description="What came out; null until it is done.", examples=[RESULT_EXAMPLE])
    created_at: datetime = created_at_field()
