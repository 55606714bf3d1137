"""The objects of the API as the client hands them on: JSON, unchanged; the types say what is in them.

Members that a program has no use for are left out here, and are there none the less. Times are UTC, as ISO 8601.
"""

from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

Item = TypeVar("Item")
JobStatus = Literal["queued", "dispatched", "running", "paused", "succeeded", "failed", "cancelled"]


class Page(TypedDict, Generic[Item]):
    """One page of a list; `next_cursor` asks for the next."""

    data: list[Item]
    next_cursor: str | None


class Money(TypedDict):
    """An exact decimal, in units of the currency."""

    amount: str
    currency: str


class Seconds(TypedDict):
    """A range of GPU-seconds."""

    p50: int
    p90: int


class Hours(TypedDict):
    """A range of GPU-hours, to four places."""

    p50: str
    p90: str


class Moments(TypedDict):
    """A range of times."""

    p50: str
    p90: str


class Estimate(TypedDict):
    """What a job will need."""

    gpu_hours: Hours
    gpu_seconds: Seconds
    tokens: int
    rows: int
    steps: int
    vram_gib: float
    vram_parts: dict[str, float] | None
    base_model: str
    sku: str
    gpus: int
    calibration_runs: int
    uncertain: list[str]


class CoveredUnits(TypedDict):
    """Units that grants pay for at one price."""

    meter: str
    quantity: int
    unit_price: str


class PlanPrice(TypedDict):
    """What a job costs on a plan, from p50 to p90; `contract_id` names the own contract that charges it."""

    plan: str
    contract_id: str | None
    gpu_hour_price: str
    overage_gpu_hour_price: str | None
    covered_gpu_seconds: int | None
    covered_by_grants: list[CoveredUnits] | None
    gpu_cost: Money
    gpu_cost_p90: Money
    token_cost: Money
    total: Money
    total_p90: Money


class ExpectedStart(TypedDict):
    """When a quoted job would start on a GPU type."""

    queue: str
    p50: str | None
    p90: str | None


class QuotedType(TypedDict):
    """A job on one GPU type that pools have: what it needs and costs there, or by `reason` why it does not fit."""

    sku: str
    fit: str
    reason: str | None
    vram_gib: float | None
    gpu_seconds: Seconds | None
    gpu_hours: Hours | None
    calibration_runs: int | None
    expected_start: ExpectedStart | None
    prices: list[PlanPrice]


class JobPart(TypedDict):
    """How far a sum carries a job."""

    steps: int
    epochs: str
    percent: str
    cost: Money


class MaxCostBuys(TypedDict):
    """What a sum buys of a job."""

    contract_id: str
    plan: str
    max_cost: Money
    p50: JobPart
    p90: JobPart


class QuotedFindings(TypedDict):
    """What is wrong with the data of a quote; `left_out` rows are not trained."""

    error: int
    warning: int
    hint: int
    left_out: int


class Quote(TypedDict):
    """A job's price on every plan."""

    id: str
    customer_id: str
    dataset_id: str
    config: dict[str, Any]
    estimate: Estimate
    prices: list[PlanPrice]
    gpu_types: list[QuotedType]
    max_cost_buys: MaxCostBuys | None
    findings: QuotedFindings | None
    expires_at: str
    created_at: str


class QuoteAnswer(TypedDict):
    """The answer to one configuration of many: its quote, or the problem with it."""

    quote: Quote | None
    problem: dict[str, Any] | None


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


class Effects(TypedDict):
    """What a change of ops does to jobs: how many it lets start, whom it strands, and who stops for it."""

    frees: NotRequired[int]
    freed_job_ids: NotRequired[list[str]]
    warnings: NotRequired[list[dict[str, Any]]]
    stopping: NotRequired[list[str]]


class Queue(Effects):
    """A queue as it is set; effects are told of one that was changed."""

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


class QueueView(Queue):
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


class ContractQuota(Effects):
    """What a contract is due beside others, and how much of it may run at one time; effects as with a queue."""

    contract_id: str
    weight: int
    max_gpus: int | None
    max_jobs: int | None
    reason: str
    updated_at: str


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


class Notice(TypedDict):
    """What customers are told: an announcement, or that a pool is worked on."""

    id: str
    kind: Literal["announcement", "maintenance"]
    message: str
    message_zh: str | None
    pool: str | None
    begins_at: str
    ends_at: str | None


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


class Job(TypedDict):
    """A training job; its `estimate` is None where the broker cannot read it."""

    id: str
    customer_id: str
    contract_id: str
    project_id: str | None
    dataset_id: str
    quote_id: str | None
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


class JobEvent(TypedDict):
    """What happened to a job."""

    id: int
    job_id: str
    kind: str
    data: dict[str, Any]
    created_at: str


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


class Checkpoint(TypedDict):
    """A state that a job can go on from."""

    id: str
    run_id: str
    step: int
    size_bytes: int
    created_at: str


class GrantScope(TypedDict):
    """What usage a grant pays for."""

    meter: Literal["gpu_seconds", "tokens"]
    project_id: str | None
    gpu_type: str | None


class Grant(TypedDict):
    """A block of units paid ahead or given, and what is left of it."""

    id: str
    customer_id: str
    contract_id: str
    kind: str
    scope: GrantScope
    status: str
    quantity: int
    left: int
    held: int
    used: int
    gone: int
    gpu_hours: str | None
    left_gpu_hours: str | None
    used_percent: str | None
    left_percent: str | None
    days_left: str | None
    unit_price: str
    priority: int
    reason: str | None
    invoice_id: str | None
    effective_at: str
    expires_at: str | None
    created_at: str


class Purchase(TypedDict):
    """An order of hours or tokens under a contract."""

    id: str
    customer_id: str
    contract_id: str
    status: Literal["open", "paid", "cancelled", "expired"]
    automatic: bool
    grant_id: str
    invoice_id: str
    scope: GrantScope
    quantity: int
    gpu_hours: str | None
    unit_price: str
    total: Money
    expires_at: str
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


class Finding(TypedDict):
    """What is wrong in a data set, where, and the cure."""

    file: str
    line: int | None
    level: Literal["error", "warning", "hint"]
    message: str


class FindingCounts(TypedDict):
    """How many findings there are of each level."""

    error: int
    warning: int
    hint: int


class BaseModel(TypedDict):
    """A model that adapters are trained on."""

    name: str
    family: str
    learns_from: Literal["text", "images"]
    licence: str
    parameters: int
    can_be_quoted: bool
    reason: str | None


class Dataset(TypedDict):
    """An uploaded data set with its quality report; `findings` are the first ones."""

    id: str
    customer_id: str
    name: str
    sha256: str
    size_bytes: int
    files: list[dict[str, Any]]
    kind: Literal["text", "images"]
    usable_rows: int
    findings: list[Finding]
    finding_counts: FindingCounts
    created_at: str


class Adapter(TypedDict):
    """What a job has made."""

    id: str
    customer_id: str
    project_id: str | None
    job_id: str
    name: str
    version: int
    base_model: str
    config: dict[str, Any]
    sha256: str
    size_bytes: int
    created_at: str


class TierStep(TypedDict):
    """A tier beyond the first: what a unit above a month's usage costs."""

    above: int
    price: str


class Tiers(TypedDict):
    """The tiers of a plan's meter beyond the first."""

    mode: Literal["flat", "graduated", "volume"]
    steps: list[TierStep]


class PlanTerms(TypedDict):
    """What one plan costs and gives on a rate card; `tiers` by meter, `gpu_hours` and `tokens`."""

    per_gpu_hour: str
    per_token: str
    minimum_commit_gpu_hours: int
    advance: bool
    queue: str
    tiers: dict[str, Tiers | None] | None


class RateCard(TypedDict):
    """Published prices of every plan, from a day on."""

    id: str
    version: str
    status: Literal["upcoming", "in_force", "superseded"]
    currency: str
    effective_from: str
    plans: dict[str, PlanTerms]
    gpu_multipliers: dict[str, str]
    published_at: str


class GuaranteedGpus(TypedDict):
    """GPUs of one type that a contract may always have; the price is of one for a billing month."""

    gpu_type: str
    gpus: int
    monthly_price: Money


class Contract(TypedDict):
    """What a customer has signed."""

    id: str
    customer_id: str
    plan: str
    committed_gpu_hours: int
    gpu_hour_price: str
    token_price: str
    rate_card: Literal["pinned", "newest"]
    rate_card_version: str
    queue: str
    overage: str
    quote_guarantee: Literal["pause", "cap"]
    monthly_budget: Money | None
    budget_hard_stop: bool
    credit_limit: Money | None
    contract_number: str
    purchase_order: str | None
    payment_days: int
    auto_renew: bool
    true_up: Literal["at_end", "yearly"]
    guaranteed_gpus: list[GuaranteedGpus]
    renewed_from_id: str | None
    status: Literal["upcoming", "active", "ended", "cancelled"]
    time_zone: str
    billing_day: int
    starts_at: str
    ends_at: str | None


class Balance(TypedDict):
    """What of a contract is available, held and used."""

    contract_id: str
    as_of: str
    granted_gpu_hours: str
    available_gpu_hours: str
    held_gpu_hours: str
    used_gpu_hours: str
    available_gpu_seconds: int
    held_gpu_seconds: int
    used_gpu_seconds: int
    granted_tokens: int
    available_tokens: int
    held_tokens: int
    used_tokens: int
    month: str
    monthly_budget: Money | None
    budget_left: Money | None
    held_money: Money
    used_money: Money


class Project(TypedDict):
    """A name under which a customer's jobs and adapters are kept together."""

    id: str
    customer_id: str
    name: str
    created_at: str


class Customer(TypedDict):
    """Who buys."""

    id: str
    name: str
    created_at: str


class ApiKey(TypedDict):
    """A key, without its secret."""

    id: str
    role: str
    name: str
    prefix: str
    expires_at: str | None


class Identity(TypedDict):
    """Whose key it is, and what it may do."""

    role: Literal["customer", "finance", "ops", "admin"]
    customer: Customer | None
    api_key: ApiKey
    version: str


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
