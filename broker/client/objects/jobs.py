"""Jobs, and what is told of them: runs, events, usage, evictions, adapters."""

from typing import Any, Literal, TypedDict

from broker.client.objects.quotes import Estimate
from broker.client.objects.values import Effects, Moments, Money, Seconds

JobStatus = Literal["queued", "dispatched", "running", "paused", "succeeded", "failed", "cancelled"]


class AcceptedType(TypedDict):
    """A GPU type that a job may run on, and what the whole job needs and costs there."""

    sku: str
    gpu_seconds: Seconds
    price: Money


class PendingReason(TypedDict):
    """Why a queued job waits."""

    code: str
    message: str
    message_zh: str | None
    next_step: str | None
    next_step_zh: str | None
    evidence: dict[str, int | str | None]
    position: int


class Notice(TypedDict):
    """What customers are told: an announcement, or that a pool is worked on."""

    id: str
    kind: Literal["announcement", "maintenance"]
    message: str
    message_zh: str | None
    pool: str | None
    begins_at: str
    ends_at: str | None


class Job(TypedDict):
    """A training job; its `estimate` is None where the broker cannot read it."""

    id: str
    customer_id: str
    contract_id: str
    project_id: str | None
    dataset_id: str
    quote_id: str | None
    template_id: str | None
    template: str | None
    tracker: dict[str, str | None] | None
    kind: Literal["training", "auto_label", "check"]
    name: str | None
    labels: dict[str, str]
    config: dict[str, Any]
    estimate: Estimate | None
    gpus: int
    gpu_types: list[AcceptedType] | None
    prefer: str
    finish_by: str | None
    batch_id: str | None
    batch_at_once: int | None
    queue: str
    priority: int | None
    status: JobStatus
    stop_requested: str | None
    pause_reason: str | None
    pending_reason: PendingReason | None
    expected_start: str | None
    latest_start: str | None
    expected_end: Moments | None
    progress: dict[str, Any] | None
    attempts: int
    used_gpu_seconds: int
    used_gpu_hours: str
    used_tokens: int
    charged_gpu_seconds: int
    charged_tokens: int
    borne_gpu_seconds: int
    borne_tokens: int
    cost: Money
    borne: Money
    max_cost: Money | None
    quote_guarantee: Literal["pause", "cap"] | None
    limit: Money | None
    limit_gpu_seconds: int | None
    cap: Money | None
    remaining: dict[str, Any] | None
    adapter_id: str | None
    error: dict[str, Any] | None
    started_at: str | None
    finished_at: str | None
    created_at: str


class ChangedJob(Job, Effects):
    """A job that was changed, and what that does to others."""


class LostWork(TypedDict):
    """What one run lost by the house's doing, and a sentence that says so."""

    run_id: str
    cause: str
    after_step: int | None
    gpu_seconds: int
    tokens: int
    explanation: str


class JobBatch(TypedDict):
    """Jobs that were submitted in one request."""

    id: str
    at_once: int | None
    data: list[Job]


class Eviction(TypedDict):
    """A run that made room for another job: why, at which prices, what was lost, and who paid."""

    id: str
    run_id: str
    reason: str
    by: str
    for_job_id: str | None
    for_contract_id: str | None
    price: Money
    other_price: Money | None
    lost_gpu_seconds: int | None
    lost_tokens: int | None
    paid_by: Literal["house", "nobody"] | None
    ended_at: str | None
    message: str
    message_zh: str
    created_at: str


class SoonerStart(TypedDict):
    """A GPU type on which a waiting job would start sooner, and what more that costs."""

    sku: str
    starts_at: str
    extra: Money
    message: str
    message_zh: str


class JobDetail(Job):
    """A job asked for by its id: what is borne and lost of it, for whom it made room, what would start it sooner."""

    borne_by_cause: dict[str, dict[str, Any]]
    lost_work: list[LostWork]
    evictions: list[Eviction]
    notices: list[Notice]
    sooner: list[SoonerStart]
    notes: str | None
    pinned_at: str | None
    made_dataset_id: str | None
    pinned_steps: list[int]


class JobEvent(TypedDict):
    """What happened to a job."""

    id: int
    job_id: str
    kind: str
    data: dict[str, Any]
    created_at: str


class LogLine(TypedDict):
    """A line of a job's training log; its id is where to go on from."""

    id: str
    run_id: str
    number: int
    at: str
    text: str


class Loss(TypedDict):
    """The loss of a group of steps; None where none was told, or it is not finite."""

    step: int
    mean: float | None
    low: float | None
    high: float | None
    validation: float | None


class Losses(TypedDict):
    """The training and validation loss of a job, by step."""

    job_id: str
    steps_in_group: int
    data: list[Loss]


class Run(TypedDict):
    """One attempt of a job."""

    id: str
    job_id: str
    attempt: int
    pool: str
    gpus: int
    status: str
    cause: str | None
    claimed_at: str | None
    ended_at: str | None
    created_at: str


class JobAhead(TypedDict):
    """A job that stands before another one that waits."""

    id: str
    customer_id: str
    queue: str
    gpus: int
    position: int
    code: str
    expected_start: str | None


class JobsAhead(TypedDict):
    """How many jobs are ahead of one that waits, and the nearest of those that the key may see."""

    job_id: str
    ahead: int | None
    data: list[JobAhead]


class JobWhy(TypedDict):
    """Why a job does not run: what it waits for, what helps, who is ahead; or why it has stopped, or failed."""

    id: str
    status: str
    pending_reason: PendingReason | None
    expected_start: str | None
    latest_start: str | None
    expected_end: Moments | None
    sooner: list[SoonerStart]
    stop_requested: str | None
    pause_reason: str | None
    error: dict[str, Any] | None
    evictions: list[Eviction]
    ahead: JobsAhead


class Checkpoint(TypedDict):
    """A state that a job can go on from."""

    id: str
    run_id: str
    step: int
    size_bytes: int
    created_at: str


class UsageInterval(TypedDict):
    """What a run used between two moments, or by how much a correction changes that."""

    run_id: str
    sequence: int
    source: str
    event_id: str
    corrects: str | None
    gpu_seconds: int
    tokens: int
    started_at: str
    ended_at: str


class Usage(TypedDict):
    """The intervals of a job and their sums."""

    data: list[UsageInterval]
    gpu_seconds: int
    tokens: int


class Adapter(TypedDict):
    """What a job has made."""

    id: str
    customer_id: str
    project_id: str | None
    job_id: str
    name: str
    version: int
    base_model: str
    init_from: str | None
    config: dict[str, Any]
    sha256: str
    size_bytes: int
    created_at: str
