"""API shapes of jobs, their events, runs and checkpoints."""

from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from broker.http.shapes import MoneyOut, as_hours, created_at_field
from broker.jobs.reading.expected_end import expect_end
from broker.jobs.rules.model import JobStatus
from broker.jobs.rules.remaining import Remaining
from broker.jobs.tables import Checkpoint, Job, JobEvent, Run
from broker.ledger.books.causes import Cause
from broker.persistence.documents import keep_readable
from broker.persistence.driver import pick_values
from broker.quotes.shapes.config_schemas import CONFIG_EXAMPLE
from broker.quotes.shapes.estimate_schemas import EstimateOut, SecondsRange
from pricing.estimate.type_choice import Preference, TypedRun
from pricing.training.label_config import KIND, TRAINING


class AcceptedTypeOut(BaseModel):
    """A GPU type that a job may run on."""

    sku: str = Field(description="Type of device.", examples=["rtx-4090"])
    gpu_seconds: SecondsRange = Field(description="What the job needs there.", examples=[{"p50": 95, "p90": 180}])
    price: MoneyOut = Field(
        description="What the whole job costs there at p90, under its contract as it was when it was submitted.",
        examples=[{"amount": "1.4202", "currency": "CNY"}],
    )


class CostRangeOut(BaseModel):
    p50: MoneyOut = Field(description="At p50.", examples=[{"amount": "0.61", "currency": "CNY"}])
    p90: MoneyOut = Field(description="At p90.", examples=[{"amount": "0.70", "currency": "CNY"}])


class RemainingOut(BaseModel):
    """What a job that goes on from a checkpoint still needs."""

    steps: int = Field(description="Optimizer steps that are left.", examples=[16])
    tokens: int = Field(description="Their tokens, rounded up.", examples=[6420])
    gpu_seconds: SecondsRange = Field(
        description="Their GPU-seconds, by the estimate or, where it was overrun, by the job's own pace.",
        examples=[{"p50": 48, "p90": 90}],
    )
    cost: CostRangeOut = Field(
        description="Their price under the contract.", examples=[{"p50": {"amount": "0.61", "currency": "CNY"}}]
    )

    @classmethod
    def of(cls, remaining: Remaining) -> "RemainingOut":
        return cls(
            steps=remaining.steps,
            tokens=remaining.tokens,
            gpu_seconds=SecondsRange.of(remaining.gpu_seconds),
            cost=CostRangeOut(p50=MoneyOut.of(remaining.cost.p50), p90=MoneyOut.of(remaining.cost.p90)),
        )


class PendingReasonOut(BaseModel):
    code: str = Field(description="Kind of reason.", examples=["waiting_for_gpus"])
    message: str = Field(description="The reason as a sentence.", examples=["Needs 1 GPU; pool local has 0 of 1 free."])
    message_zh: str | None = Field(
        default=None, description="The same in Chinese.", examples=["需要 1 张 GPU；资源池 local 共 1 张，空闲 0 张。"]
    )
    next_step: str | None = Field(default=None, description="What helps.", examples=["Nothing: it starts by itself."])
    next_step_zh: str | None = Field(
        default=None, description="The same in Chinese.", examples=["无需操作：轮到时会自动开始。"]
    )
    evidence: dict[str, int | str | None] = Field(
        default_factory=dict,
        description="What was read for it, by name.",
        examples=[{"gpus": 1, "free": 0}],
    )
    position: int = Field(description="Place in the planner's order, from 1.", examples=[1])


class ExpectedEndOut(BaseModel):
    p50: datetime = Field(description="Half of such jobs have ended by then (UTC).", examples=["2026-11-24T10:07:00Z"])
    p90: datetime = Field(
        description="Nine of ten such jobs have ended by then (UTC).", examples=["2026-11-24T10:12:00Z"]
    )


class TrackerOut(BaseModel):
    """Which tracker of the customer's own the runs of a job tell; its key is never shown."""

    secret: str = Field(description="The secret that has its address and key, by name.", examples=["wandb-team"])
    project: str | None = Field(
        default=None, description="The project or experiment there; null: `lora`.", examples=["styles"]
    )


StopWord = Literal["cancel", "pause", "limit", "balance", "budget", "contract_ended", "arrears", "preempt", "quota"]


class JobOut(BaseModel):
    id: str = Field(description="Job id.", examples=["job_01k"])
    object: Literal["job"] = Field(default="job", description="Kind of object.", examples=["job"])
    customer_id: str = Field(description="Whose job it is.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract that pays.", examples=["con_01k"])
    project_id: str | None = Field(description="Its project, if any.", examples=["prj_01k"])
    dataset_id: str = Field(description="What it trains on.", examples=["dat_01k"])
    quote_id: str | None = Field(description="The quote it was admitted with.", examples=["quo_01k"])
    template_id: str | None = Field(description="The template that it was made from, if any.", examples=["tpl_01k"])
    template: str | None = Field(description="Its name, with the version.", examples=["template_sd_v15@3"])
    tracker: TrackerOut | None = Field(
        description="The tracker that its runs tell what they do, if any.", examples=[{"secret": "wandb-team"}]
    )
    kind: Literal["training", "auto_label", "check"] = Field(
        description="What it does: train an adapter, label pictures, or check a data set.", examples=["training"]
    )
    name: str | None = Field(description="Its name, if it was given one.", examples=["brand tone, rank 16"])
    labels: dict[str, str] = Field(description="What it is told apart by.", examples=[{"team": "search"}])
    config: dict[str, Any] = Field(description="The configuration with its defaults.", examples=[CONFIG_EXAMPLE])
    estimate: EstimateOut | None = Field(
        description="What it was expected to need; null: it cannot be read, and ops has been told.",
        examples=[{"tokens": 12840}],
    )
    gpus: int = Field(description="GPUs of one machine that share its steps.", examples=[1])
    gpu_types: list[AcceptedTypeOut] | None = Field(
        description="The GPU types that it may run on, the one that it would rather have first; null: a job of before, "
        "on any.",
        examples=[[{"sku": "rtx-4090"}]],
    )
    prefer: Preference = Field(description="Which of them it would rather have.", examples=["cheapest"])
    finish_by: datetime | None = Field(
        description="When it should have ended (UTC), if it was told.", examples=["2026-11-24T18:00:00Z"]
    )
    batch_id: str | None = Field(
        description="The batch that it was submitted with, if any: `GET /v1/jobs?batch_id=` lists it.",
        examples=["bat_01k"],
    )
    batch_at_once: int | None = Field(
        description="So many jobs of its batch may run at one time; null: all.", examples=[2]
    )
    queue: str = Field(description="The queue it entered.", examples=["priority"])
    priority: int | None = Field(
        description="Its own priority in place of its queue's, where ops gave it one; the event says why.",
        examples=[None],
    )
    status: Literal["queued", "dispatched", "running", "paused", "succeeded", "failed", "cancelled"] = Field(
        description="Where the job stands.", examples=["running"]
    )
    stop_requested: StopWord | None = Field(description="Its run has been told to stop, and why.", examples=["pause"])
    pause_reason: Literal["pause", "limit", "balance", "budget", "contract_ended", "arrears"] | None = Field(
        description="Why a paused job is paused: on request, at its limit (its quote or `max_cost`), for want of "
        "hours, because the month's budget is gone, the contract has ended, or it is in arrears.",
        examples=["limit"],
    )
    pending_reason: PendingReasonOut | None = Field(
        description="Why a queued job waits.", examples=[{"code": "waiting_for_gpus"}]
    )
    expected_start: datetime | None = Field(
        description="When a queued job is expected to start (UTC): if those before it take as long as half of such do.",
        examples=["2026-11-24T10:05:00Z"],
    )
    latest_start: datetime | None = Field(
        description="When it starts if they take as long as nine of ten such do at most (UTC).",
        examples=["2026-11-24T10:15:00Z"],
    )
    expected_end: ExpectedEndOut | None = Field(
        description="When it is expected to end, while it runs or once its start is forecast.",
        examples=[{"p50": "2026-11-24T10:07:00Z", "p90": "2026-11-24T10:12:00Z"}],
    )
    progress: dict[str, Any] | None = Field(
        description="Last report of its run: step, total_steps, epoch, loss, validation_loss.",
        examples=[{"step": 10, "total_steps": 80, "loss": 2.31, "validation_loss": 2.44}],
    )
    attempts: int = Field(description="Runs so far.", examples=[1])
    used_gpu_seconds: int = Field(
        description="GPU-seconds that its runs used so far: those charged and those borne.", examples=[95]
    )
    used_gpu_hours: str = Field(description="The same in GPU-hours, to four places.", examples=["0.0264"])
    used_tokens: int = Field(
        description="Tokens that its runs trained so far: those charged and those borne.", examples=[12840]
    )
    charged_gpu_seconds: int = Field(description="GPU-seconds that the customer is charged for.", examples=[83])
    charged_tokens: int = Field(description="Tokens that the customer is charged for.", examples=[11798])
    borne_gpu_seconds: int = Field(description="GPU-seconds that the house bears.", examples=[12])
    borne_tokens: int = Field(description="Tokens that the house bears.", examples=[1042])
    cost: MoneyOut = Field(
        description="What the customer is charged for the usage so far, at the contract's rates.",
        examples=[{"amount": "1.30", "currency": "CNY"}],
    )
    borne: MoneyOut = Field(
        description="Price of the usage that the house bears: beyond what was promised, or lost by our doing.",
        examples=[{"amount": "0.00", "currency": "CNY"}],
    )
    max_cost: MoneyOut | None = Field(
        description="Most it may cost, as the customer said.", examples=[{"amount": "38.20", "currency": "CNY"}]
    )
    quote_guarantee: Literal["pause", "cap"] | None = Field(
        description="What happens at its quote; null: it was submitted without one.", examples=["pause"]
    )
    limit: MoneyOut | None = Field(
        description="It pauses when it has cost so much: the quote at p90, or `max_cost`.",
        examples=[{"amount": "1.4202", "currency": "CNY"}],
    )
    limit_gpu_seconds: int | None = Field(
        description="It pauses when it has used so many GPU-seconds: the quote's p90; null with a `max_cost` above it.",
        examples=[180],
    )
    cap: MoneyOut | None = Field(
        description="The customer is never charged more: the quoted total at p90, under a contract that caps.",
        examples=[{"amount": "1.42", "currency": "CNY"}],
    )
    remaining: RemainingOut | None = Field(
        description="What was left when its last run ended early.", examples=[{"steps": 16}]
    )
    adapter_id: str | None = Field(
        description="The adapter that it has made, once it has succeeded.", examples=["ada_01k"]
    )
    error: dict[str, Any] | None = Field(description="Why it failed.", examples=[{"code": "out_of_memory"}])
    started_at: datetime | None = Field(description="When training began (UTC).", examples=["2026-11-24T10:00:00Z"])
    finished_at: datetime | None = Field(description="When it ended (UTC).", examples=["2026-11-24T10:02:00Z"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, job: Job, now: datetime) -> "JobOut":
        return cls.model_validate(describe_job(job, now))


OWN_FIELDS = [name for name in JobOut.model_fields if hasattr(Job, name)]
UNSAID = dict.fromkeys(JobOut.model_fields) | {"object": "job"}


def describe_job(job: Job, now: datetime) -> dict[str, Any]:
    """Describe a job by the names of the fields of `JobOut`, in their order."""
    estimate, remaining = keep_readable(job.estimate), keep_readable(job.remaining)
    types = keep_readable(job.gpu_types)
    end = None if estimate is None else expect_end(job, now)
    charged = job.charged
    derived = {
        "kind": job.config.get(KIND, TRAINING),
        "estimate": None if estimate is None else EstimateOut.describe(estimate),
        "gpu_types": None if types is None else [_describe_type(run) for run in types],
        "remaining": None if remaining is None else RemainingOut.of(remaining),
        "expected_end": None if end is None else ExpectedEndOut(p50=end.p50, p90=end.p90),
        "adapter_id": job.adapter_id if job.status == JobStatus.SUCCEEDED else None,
        "used_gpu_hours": as_hours(job.used_gpu_seconds),
        "charged_gpu_seconds": charged.gpu_seconds,
        "charged_tokens": charged.tokens,
        "cost": MoneyOut.describe(job.cost_micros),
        "borne": MoneyOut.describe(job.borne_micros),
        "max_cost": _describe_optional(job.max_cost_micros),
        "limit": _describe_optional(job.limit_micros),
        "cap": _describe_optional(job.cap_micros),
    }
    return {**UNSAID, **pick_values(job, OWN_FIELDS), **derived}


def write_job(job: Job, now: datetime, *, is_new: bool) -> str | bytes:
    """Write a job as `JobOut` does; a new one past the shape, since all that it would check has just been decided."""
    if is_new:
        return orjson.dumps(describe_job(job, now), to_jsonable_python, orjson.OPT_UTC_Z)
    return JobOut.of(job, now).model_dump_json()


def _describe_type(run: TypedRun) -> dict[str, Any]:
    seconds = {"p50": run.p50_seconds, "p90": run.p90_seconds}
    return {"sku": run.sku, "gpu_seconds": seconds, "price": MoneyOut.describe(run.price_micros)}


def _describe_optional(micros: int | None) -> dict[str, str] | None:
    return None if micros is None else MoneyOut.describe(micros)


class JobEventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int = Field(description="Grows with time; send it as `after` for later events.", examples=[17])
    object: Literal["job_event"] = Field(default="job_event", description="Kind of object.", examples=["job_event"])
    job_id: str = Field(description="The job.", examples=["job_01k"])
    kind: str = Field(description="What happened, in the past tense.", examples=["dispatched"])
    data: dict[str, Any] = Field(description="Facts of the event.", examples=[{"attempt": 1}])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: JobEvent) -> "JobEventOut":
        return cls.model_validate(row)


class JobEventListOut(BaseModel):
    data: list[JobEventOut] = Field(description="Oldest first.", examples=[[{"kind": "submitted"}]])
    next_cursor: str | None = Field(description="Send it as `after`; null: no more now.", examples=["17"])


class RunOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Run id.", examples=["run_01k"])
    object: Literal["run"] = Field(default="run", description="Kind of object.", examples=["run"])
    job_id: str = Field(description="The job it is an attempt of.", examples=["job_01k"])
    attempt: int = Field(description="Which attempt, from 1.", examples=[1])
    pool: str = Field(description="Where it runs.", examples=["local"])
    gpus: int = Field(description="Devices it holds.", examples=[1])
    node: str | None = Field(
        description="For staff: on which machine of a cluster it was placed; null: the pool is one.", examples=["gpu-7"]
    )
    gpu_type: str | None = Field(description="Type of its devices; its hours are priced by it.", examples=["rtx-3090"])
    status: str = Field(description="starting, running, or how it ended.", examples=["running"])
    cause: Cause | None = Field(description="Why it ended; null while it lives.", examples=["machine_lost"])
    used_gpu_seconds: int = Field(description="GPU-seconds that it used, charged or borne.", examples=[95])
    used_tokens: int = Field(description="Tokens that it trained, charged or borne.", examples=[12840])
    claimed_at: datetime | None = Field(description="When its worker took it (UTC).", examples=["2026-11-24T10:00:00Z"])
    last_heartbeat_at: datetime | None = Field(
        description="When it last reported (UTC).", examples=["2026-11-24T10:00:00Z"]
    )
    ended_at: datetime | None = Field(description="When it ended (UTC).", examples=["2026-11-24T10:02:00Z"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Run, *, for_staff: bool) -> "RunOut":
        shown = cls.model_validate(row)
        return shown if for_staff else shown.model_copy(update={"node": None})


class CheckpointOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Checkpoint id.", examples=["chk_01k"])
    object: Literal["checkpoint"] = Field(default="checkpoint", description="Kind of object.", examples=["checkpoint"])
    run_id: str = Field(description="The run that saved it.", examples=["run_01k"])
    step: int = Field(description="Optimizer step that it was taken after.", examples=[100])
    sha256: str = Field(description="SHA-256 of its tar, hex.", examples=["9f86d081…"])
    size_bytes: int = Field(description="Size in bytes.", examples=[5545984])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Checkpoint) -> "CheckpointOut":
        return cls.model_validate(row)
