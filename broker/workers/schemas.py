"""API shapes of the worker protocol (`docs/worker-protocol.md`)."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from broker.customer_secrets.model import SecretKind
from broker.http.shapes import MOST, Moment, MoneyOut, RequestBody, Whole, read_fields
from broker.jobs.rules.log_lines import KeptLog, LogLine
from broker.jobs.rules.model import StopReason
from broker.jobs.running.losses import StepLosses
from broker.metering.events.model import UsageCloudEvent
from broker.metering.schemas import QUARANTINED, QuarantinedIntervalOut
from broker.quotes.shapes.config_schemas import CONFIG_EXAMPLE
from broker.workers.model import Assignment, Instruction, Report, RunEnd, Sample, Validation
from broker.workers.protocol import PROTOCOL

MAX_STEP = 10**12
MAX_PICTURE_CHARACTERS = 100_000
LONGEST_LINE, MOST_LINES_TOLD = 2_000, 200

FENCE = Field(ge=1, le=MOST, description="The run's fence token, from its environment.", examples=[1])


class ClaimIn(RequestBody):
    fence_token: int = FENCE


class DownloadOut(BaseModel):
    url: str = Field(description="Path on this broker.", examples=["/v1/runs/run_01k/dataset"])
    sha256: str = Field(description="SHA-256 of the bytes, hex.", examples=["9f86d081…"])
    size_bytes: int = Field(description="Size in bytes.", examples=[20480])


class CheckpointDownloadOut(DownloadOut):
    step: int = Field(description="Optimizer step that it was taken after.", examples=[100])


class TrackerAccessOut(BaseModel):
    """The customer's own tracker, with its key: nobody else is ever given it."""

    secret: str = Field(description="The name of the secret.", examples=["wandb-team"])
    kind: SecretKind | None = Field(description="What it is; null: the secret is gone.", examples=["wandb"])
    key: str | None = Field(description="What opens it; null: the secret is gone.", repr=False, examples=["a-long-key"])
    url: str | None = Field(description="Where it is; null: its own cloud.", examples=["https://mlflow.example.com"])
    username: str | None = Field(description="The user whose password the key is.", examples=["trainer"])
    project: str | None = Field(description="The project or experiment there; null: `lora`.", examples=["styles"])
    networks: list[str] = Field(
        description="Networks beside the public internet that its address may lead to.", examples=[["10.0.0.0/8"]]
    )


class RunAssignmentOut(BaseModel):
    object: Literal["run_assignment"] = Field(
        default="run_assignment", description="Kind of object.", examples=["run_assignment"]
    )
    protocol: int = Field(default=PROTOCOL, description="The worker protocol that this broker speaks.", examples=[1])
    run_id: str = Field(description="The run.", examples=["run_01k"])
    job_id: str = Field(description="Its job.", examples=["job_01k"])
    attempt: int = Field(description="Which attempt of the job this is, from 1.", examples=[1])
    gpus: int = Field(description="Devices that the run holds.", examples=[1])
    config: dict[str, Any] = Field(description="What to train.", examples=[CONFIG_EXAMPLE])
    heartbeat_seconds: float = Field(description="Seconds between two heartbeats.", examples=[2.0])
    base_model: dict[str, Any] | None = Field(
        default=None,
        description="The profile of a base model that an operator added, whose files have its `weights_sha256`; null: "
        "the catalogue's of that name.",
        examples=[None],
    )
    dataset: DownloadOut = Field(description="The data, as a tar.", examples=[{"url": "/v1/runs/run_01k/dataset"}])
    checkpoint: CheckpointDownloadOut | None = Field(
        description="Where to go on from; null: from the start.", examples=[{"step": 100}]
    )
    init_adapter: DownloadOut | None = Field(
        default=None,
        description="The adapter that `config.init_from` names, to start from; null: none, or it was deleted since.",
        examples=[None],
    )
    tracker: TrackerAccessOut | None = Field(
        default=None, description="What the run tells besides the broker; null: nothing.", examples=[None]
    )
    next_sequence: int = Field(description="Number of the first usage interval to report.", examples=[0])
    next_log_number: int = Field(default=0, description="Number of the next line of its log.", examples=[0])
    now: datetime = Field(
        description="The broker's time (UTC): count the times of usage from it.", examples=["2026-11-24T10:00:00Z"]
    )

    @classmethod
    def of(cls, assignment: Assignment) -> "RunAssignmentOut":
        place = f"/v1/runs/{assignment.run_id}"
        own = read_fields(cls, assignment)
        dataset = DownloadOut(url=f"{place}/dataset", **vars(assignment.dataset))
        checkpoint = assignment.checkpoint
        continued = None if checkpoint is None else CheckpointDownloadOut(url=f"{place}/checkpoint", **vars(checkpoint))
        start = assignment.init_adapter
        started = None if start is None else DownloadOut(url=f"{place}/init-adapter", **vars(start))
        added, tracker = assignment.base_model, assignment.tracker
        profile = None if added is None else added.model_dump(mode="json", exclude_defaults=True)
        told = None if tracker is None else TrackerAccessOut(**vars(tracker))
        files = {"dataset": dataset, "checkpoint": continued, "init_adapter": started}
        return cls(**{**own, **files, "base_model": profile, "tracker": told})


class LogLineIn(RequestBody):
    """A line that the worker wrote."""

    number: int = Field(ge=0, le=MAX_STEP, description="Its number among all lines of the run, from 0.", examples=[17])
    at: Moment = Field(description="When it was written (UTC).", examples=["2026-11-24T10:05:00Z"])
    text: str = Field(
        max_length=LONGEST_LINE, description="What it says.", examples=["step 10/80 loss 2.31 tokens/s 210"]
    )


class LogIn(RequestBody):
    fence_token: int = FENCE
    lines: list[LogLineIn] = Field(
        min_length=1,
        max_length=MOST_LINES_TOLD,
        description="Lines in their order; numbers that are missing are lines that the worker had no room for.",
        examples=[[{"number": 17, "at": "2026-11-24T10:05:00Z", "text": "step 10/80 loss 2.31"}]],
    )

    def read_lines(self) -> list[LogLine]:
        return [LogLine(line.number, line.at, line.text) for line in self.lines]


class LogOut(BaseModel):
    next_number: int = Field(description="Lines below this number are known; do not send them again.", examples=[18])
    left_out: int = Field(description="Lines of the run that were not kept so far.", examples=[0])

    @classmethod
    def of(cls, log: KeptLog) -> "LogOut":
        return cls(next_number=log.next_number, left_out=log.left_out)


class ProgressIn(BaseModel):
    """How far training is."""

    model_config = ConfigDict(extra="ignore")

    step: Whole = Field(description="Optimizer steps done.", examples=[10])
    total_steps: Whole = Field(description="Optimizer steps of the whole job.", examples=[200])
    epoch: Whole | None = Field(default=None, description="Epoch under way, from 1.", examples=[1])
    loss: float | None = Field(
        default=None, allow_inf_nan=False, description="Training loss of the last step.", examples=[2.31]
    )
    validation_loss: float | None = Field(
        default=None, allow_inf_nan=False, description="Loss of the held-out rows when last validated.", examples=[2.44]
    )
    peak_memory_bytes: Whole | None = Field(default=None, description="Peak memory in bytes.", examples=[1 << 31])


class ValidationIn(RequestBody):
    """The loss of the held-out rows after a step."""

    step: int = Field(ge=0, le=MAX_STEP, description="Optimizer steps done by then.", examples=[20])
    loss: float | None = Field(
        allow_inf_nan=False, description="Mean loss of the held-out rows; null: it is not finite.", examples=[2.44]
    )
    advice: str | None = Field(
        default=None,
        max_length=2000,
        description="Where the loss rises: that it is overfitting, with the cures.",
        examples=["overfitting: the validation loss rises (2.44, best 2.31 after epoch 2); train fewer epochs"],
    )


class SampleIn(RequestBody):
    """What the adapter makes of one of `sample_prompts`, as a text or as a small picture."""

    step: int = Field(ge=0, le=MAX_STEP, description="Optimizer steps done by then.", examples=[100])
    prompt: str = Field(max_length=2000, description="The prompt, cut to 2000 characters.", examples=["tea?"])
    text: str | None = Field(
        default=None, max_length=4000, description="The answer of a language model.", examples=["Calm."]
    )
    image: str | None = Field(
        default=None,
        max_length=MAX_PICTURE_CHARACTERS,
        pattern=r"^data:image/jpeg;base64,[A-Za-z0-9+/]+={0,2}$",
        description="The picture, at most 256 pixels wide and high, as a data URI.",
        examples=["data:image/jpeg;base64,/9j/4AAQ"],
    )


class LossIn(RequestBody):
    """The training losses of some steps that follow one another."""

    first_step: int = Field(ge=1, le=MAX_STEP, description="The first of the steps.", examples=[6])
    step: int = Field(ge=1, le=MAX_STEP, description="The last of the steps.", examples=[10])
    mean: float = Field(allow_inf_nan=False, description="Mean of their losses.", examples=[2.31])
    low: float = Field(allow_inf_nan=False, description="The lowest of them.", examples=[2.2])
    high: float = Field(allow_inf_nan=False, description="The highest of them.", examples=[2.6])

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.first_step > self.step:
            raise ValueError("first_step is after step")
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class HeartbeatIn(RequestBody):
    fence_token: int = FENCE
    progress: ProgressIn | None = Field(default=None, description="Null while loading.", examples=[{"step": 10}])
    usage: list[UsageCloudEvent] = Field(
        default_factory=list, max_length=1000, description="Intervals not acknowledged yet.", examples=[[]]
    )
    validations: list[ValidationIn] = Field(
        default_factory=list,
        max_length=100,
        description="Losses of the held-out rows that no heartbeat has told yet.",
        examples=[[{"step": 20, "loss": 2.44}]],
    )
    samples: list[SampleIn] = Field(
        default_factory=list,
        max_length=16,
        description="Samples that no heartbeat has told yet.",
        examples=[[{"step": 100, "prompt": "tea?", "text": "Calm."}]],
    )

    losses: list[LossIn] = Field(
        default_factory=list,
        max_length=100,
        description="Training losses that no heartbeat has told yet.",
        examples=[[{"first_step": 6, "step": 10, "mean": 2.31, "low": 2.2, "high": 2.6}]],
    )

    def read_report(self) -> Report:
        return Report(
            progress=None if self.progress is None else self.progress.model_dump(exclude_none=True),
            usage=self.usage,
            validations=[Validation(**each.model_dump()) for each in self.validations],
            samples=[Sample(**each.model_dump()) for each in self.samples],
            losses=[StepLosses(**each.model_dump()) for each in self.losses],
        )


class HeartbeatOut(BaseModel):
    command: Literal["continue", "stop"] = Field(description="What the run must do.", examples=["continue"])
    reason: StopReason | None = Field(description="Why it must stop.", examples=["pause"])
    acknowledged_sequence: int = Field(description="Every interval up to this one is kept; -1: none.", examples=[4])
    quarantined: list[QuarantinedIntervalOut] = QUARANTINED
    cost_so_far: MoneyOut = Field(
        description="Cost of the job's usage that is stored, of all its runs, at its contract's rates.",
        examples=[{"amount": "1.30", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, instruction: Instruction) -> "HeartbeatOut":
        return cls(
            command="continue" if instruction.stop_reason is None else "stop",
            reason=instruction.stop_reason,
            acknowledged_sequence=instruction.acknowledged_sequence,
            quarantined=QuarantinedIntervalOut.list_of(instruction.quarantined),
            cost_so_far=MoneyOut.of(instruction.cost),
        )


class RunErrorIn(RequestBody):
    code: str = Field(max_length=100, description="Short name of the error.", examples=["out_of_memory"])
    message: str = Field(max_length=10_000, description="What went wrong, and the cure.", examples=["batch_size: 2"])


class FinishIn(HeartbeatIn):
    outcome: Literal["succeeded", "failed", "stopped", "preempted"] = Field(
        description="How the run ended.", examples=["succeeded"]
    )
    error: RunErrorIn | None = Field(default=None, description="With `failed`.", examples=[None])


class FinishOut(BaseModel):
    run_status: str = Field(description="The run's status now.", examples=["succeeded"])
    job_status: str = Field(description="The job's status now.", examples=["succeeded"])
    quarantined: list[QuarantinedIntervalOut] = QUARANTINED

    @classmethod
    def of(cls, end: RunEnd) -> "FinishOut":
        return cls(
            run_status=end.run_status.value,
            job_status=end.job_status.value,
            quarantined=QuarantinedIntervalOut.list_of(end.quarantined),
        )


class ChunksOut(BaseModel):
    received_bytes: int = Field(description="Bytes that the broker has; go on from there.", examples=[8388608])


class StoredOut(BaseModel):
    sha256: str = Field(description="SHA-256 of what was stored, hex.", examples=["9f86d081…"])
    size_bytes: int = Field(description="Size in bytes.", examples=[1848320])


class LabelledOut(BaseModel):
    dataset_id: str = Field(description="The data set with the new captions.", examples=["dat_01k"])
    version: int = Field(description="Which version it is of the first upload.", examples=[2])
