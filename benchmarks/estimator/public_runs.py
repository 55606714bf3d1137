"""Public runs that we gathered ourselves: `data/public_runs.csv`, whose README says what each column means."""

import csv
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from benchmarks.estimator.conditions import Conditions
from benchmarks.estimator.published import LeftOpen, PublishedRow
from pricing.estimate.prediction_request import PredictionRequest, ShardedBy
from pricing.estimate.requested_run import METHODS

FILE = Path(__file__).parent / "data" / "public_runs.csv"
GIB_PER_UNIT = {"GiB": 1.0, "MiB": 2.0**-10, "GB": 1e9 / 2**30, "B": 2.0**-30}
SECONDS_PER_MINUTE = 60
CHECKPOINTING = {"yes": True, "no": False, "unknown": None}


class PublicRun(BaseModel):
    """One run as its source tells it. Units: as `speed_unit` and `memory_unit` say; both are of one GPU.

    `assumed` names the columns that the source leaves open. Without `mean_tokens` the speed of a text run serves for
    ratios to other rows of its source only. `judged_set` numbers the set in which the row has judged, where it has;
    `judged_seconds` of an optimizer step and `judged_gib` are what was estimated then, before anybody had seen it.
    `leaves_open`: of which figure something is open that a request must say, which then judges coverage alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str = Field(min_length=1)
    program: str = Field(min_length=1)
    serves: Literal["fit", "judge"]
    model: str
    gpu: str
    gpus: int = Field(ge=1)
    method: Literal["lora", "qlora-nf4", "lora-int8"]
    precision: Literal["fp32", "bf16", "fp16"]
    rank: int = Field(ge=1)
    target_modules: str | None = None
    micro_batch: int = Field(ge=1)
    accumulation: int = Field(ge=1)
    sequence_length: int | None = Field(default=None, ge=1)
    mean_tokens: float | None = Field(default=None, gt=0)
    resolution: int | None = Field(default=None, ge=64)
    caption_tokens: int | None = Field(default=None, ge=1)
    gradient_checkpointing: Literal["yes", "no", "unknown"]
    kernels: Literal["usual", "fused", "compiled"]
    loss: Literal["half", "chunked", "fused"] | None = None
    unpacked_bits: Annotated[Literal[16, 32], BeforeValidator(int)] | None = None
    weight_bits: Annotated[Literal[16, 32], BeforeValidator(int)] | None = None
    head_bits: Annotated[Literal[16, 32], BeforeValidator(int)] | None = None
    adapter_bits: Annotated[Literal[16, 32], BeforeValidator(int)] | None = None
    optimizer_bits: Annotated[Literal[8, 32], BeforeValidator(int)] | None = None
    evaluation_batch: int | None = Field(default=None, ge=0)
    autocast: bool | None = None
    filled: bool | None = None
    grouped: bool | None = None
    offloaded: bool | None = None
    sharded: bool | None = None
    sharded_by: ShardedBy | None = None
    reentrant: bool | None = None
    attention: Literal["eager", "sdpa", "flash"] | None = None
    encodes: Literal["yes", "captions", "no"] | None = None
    text_encoders: bool | None = None
    vae_bits: Annotated[Literal[16, 32], BeforeValidator(int)] | None = None
    speed: float | None = Field(default=None, gt=0)
    speed_unit: Literal["s/step", "s/micro-batch", "s/run", "min/run", "tokens/s"] | None = None
    run_steps: int | None = Field(default=None, ge=1)
    whole_run: bool | None = None
    memory: float | None = Field(default=None, gt=0)
    memory_unit: Literal["GiB", "MiB", "GB", "B"] | None = None
    memory_counts: Literal["driver", "reserved", "allocated"] | None = None
    judged_set: int | None = Field(default=None, ge=1)
    judged_seconds: float | None = Field(default=None, gt=0)
    judged_gib: float | None = Field(default=None, gt=0)
    leaves_open: LeftOpen | None = None
    assumed: str | None = None
    reference: str = Field(pattern=r"^(https://|benchmarks/results/)\S+$")
    note: str | None = None

    @model_validator(mode="after")
    def _go_together(self) -> "PublicRun":
        if self.speed is None and self.memory is None:
            raise ValueError("a row has a speed or a peak")
        if (self.speed is None) != (self.speed_unit is None):
            raise ValueError("a speed has its unit")
        if (self.speed_unit in {"s/run", "min/run"}) != (self.run_steps is not None):
            raise ValueError("the time of a run has its optimizer steps, and no other speed has")
        if {self.memory is None} != {self.memory_unit is None, self.memory_counts is None}:
            raise ValueError("a peak has its unit and says what it counts")
        if (self.resolution is None) != (self.encodes is None):
            raise ValueError("a row of pictures says what it encodes in each step, and no other row does")
        return self

    @property
    def optimizer_step_seconds(self) -> float | None:
        """The seconds of an optimizer step, also where nothing says how long its rows are; None without a speed."""
        if self.speed is None:
            return None
        if self.speed_unit == "s/micro-batch":
            return self.speed * self.accumulation
        if self.speed_unit == "tokens/s":
            return self.micro_batch * self.accumulation * (self.mean_tokens or 0) / self.speed
        seconds = self.speed * (SECONDS_PER_MINUTE if self.speed_unit == "min/run" else 1)
        return seconds / (self.run_steps or 1)

    @property
    def has_known_lengths(self) -> bool:
        """Whether the source says how long its rows are in the mean; else its speed serves for ratios only."""
        is_stated = self.mean_tokens is not None and "mean_tokens" not in (self.assumed or "")
        return self.resolution is not None or is_stated

    @property
    def has_known_unit(self) -> bool:
        """Whether the source says of what its seconds are; else its speed serves for ratios only."""
        return "speed_unit" not in (self.assumed or "")

    @property
    def memory_gib(self) -> float | None:
        return None if self.memory is None else self.memory * GIB_PER_UNIT[self.memory_unit or "GiB"]

    def to_request(self) -> PredictionRequest:
        """Write it as the request of a prediction. Raises: ValueError."""
        return PredictionRequest(
            base_model=self.model,
            gpu=self.gpu,
            gpus=self.gpus,
            method=self.method,
            precision=self.precision,
            rank=self.rank,
            target_modules=None if self.target_modules is None else tuple(self.target_modules.split(",")),
            micro_batch=self.micro_batch,
            accumulation=self.accumulation,
            sequence_length=self.sequence_length,
            mean_tokens=self.mean_tokens,
            resolution=self.resolution,
            caption_tokens=self.caption_tokens,
            gradient_checkpointing=CHECKPOINTING[self.gradient_checkpointing],
            cached_latents=self.encodes != "yes",
            text_encoders=self.text_encoders,
            vae_bits=self.vae_bits,
            loss=self.loss,
            unpacked_bits=self.unpacked_bits,
            weight_bits=self.weight_bits,
            head_bits=self.head_bits,
            adapter_bits=self.adapter_bits,
            optimizer_bits=self.optimizer_bits,
            evaluation_batch=self.evaluation_batch,
            autocast=self.autocast,
            filled=self.filled,
            grouped=self.grouped,
            offloaded=self.offloaded,
            sharded=self.sharded,
            sharded_by=self.sharded_by,
            reentrant=self.reentrant,
            compiled=True if self.kernels != "usual" else None,
            attention=self.attention,
        )

    def to_published(self) -> PublishedRow:
        """Write it as a row of the published tables."""
        return PublishedRow(
            source=self.source,
            conditions=Conditions(
                source=self.source,
                program=self.program,
                serves=self.serves,
                lengths="stated" if self.has_known_lengths else "longest",
                memory=self.memory_counts or "driver",
                encodes=self.encodes == "yes",
                attention="eager" if self.attention == "eager" else None,
            ),
            trainer=self.program,
            request=self.to_request(),
            quantization=METHODS[self.method],
            seconds=self.optimizer_step_seconds if self.has_known_lengths and self.has_known_unit else None,
            memory_gib=self.memory_gib,
            is_whole_run=self.run_steps is not None or self.whole_run is True,
            judged_set=self.judged_set,
            judged_seconds=self.judged_seconds,
            judged_gib=self.judged_gib,
            leaves_open=self.leaves_open,
        )


def read_public_runs(path: Path = FILE) -> list[PublicRun]:
    """Read the table. Raises: OSError; ValidationError for a row of another form, which a line of the table is."""
    with path.open(encoding="utf-8", newline="") as file:
        return [PublicRun.model_validate(_drop_empty(record)) for record in csv.DictReader(file)]


def _drop_empty(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value != ""}
