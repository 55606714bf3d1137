"""What is submitted and what it will cost: data sets with findings, base models, quotes."""

from typing import Any, Literal, TypedDict

from broker.client.objects.values import Hours, Money, Seconds


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


class RefusedRows(TypedDict):
    """Why rows cannot be used, and how many."""

    reason: str
    rows: int


class RowCounts(TypedDict):
    """Every row, or picture, by what became of it; `line` says all of it."""

    read: int
    used: int
    refused: int
    refused_because: list[RefusedRows]
    set_aside: int
    too_long: int
    cut: int
    line: str


class QuotedFindings(TypedDict):
    """What is wrong with the data of a quote; `left_out` rows are not trained."""

    error: int
    warning: int
    hint: int
    left_out: int
    rows: RowCounts | None


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
    origin: Literal["upload", "auto_label", "edit"]
    version: int
    parent_id: str | None
    root_id: str | None
    job_id: str | None
    checked_at: str | None
    sha256: str
    size_bytes: int
    files: list[dict[str, Any]]
    kind: Literal["text", "images"]
    usable_rows: int
    findings: list[Finding]
    finding_counts: FindingCounts
    row_counts: RowCounts
    created_at: str


class Picture(TypedDict):
    """A picture of a data set, with its own caption; empty: it has none."""

    number: int
    name: str
    caption: str
    caption_file: str | None


class ChangedCaption(TypedDict):
    """A caption that an edit changes."""

    name: str
    before: str
    after: str


class CaptionEdit(TypedDict):
    """What an edit of captions has changed, or would; `dataset` is the version that it made."""

    changed: int
    first: list[ChangedCaption]
    dataset: Dataset | None
