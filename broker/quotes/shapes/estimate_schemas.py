"""API shapes of what a job is expected to need."""

from typing import Any

from pydantic import BaseModel, Field

from broker.http.languages import Say
from broker.http.shapes import as_hours
from broker.quotes.estimating.estimate import JobEstimate
from broker.quotes.estimating.uncertainty import name_uncertainties
from pricing.estimate.run_estimate import GpuSeconds
from pricing.resources.memory import FitJudgement


class SecondsRange(BaseModel):
    p50: int = Field(description="GPU-seconds; half of such jobs need no more.", examples=[95])
    p90: int = Field(description="GPU-seconds; nine of ten such jobs need no more.", examples=[180])

    @classmethod
    def of(cls, seconds: GpuSeconds) -> "SecondsRange":
        return cls(p50=seconds.p50, p90=seconds.p90)


class HoursRange(BaseModel):
    p50: str = Field(description="GPU-hours, to four places.", examples=["0.0264"])
    p90: str = Field(description="GPU-hours, to four places; the hold is made for this.", examples=["0.0500"])

    @classmethod
    def of(cls, seconds: GpuSeconds) -> "HoursRange":
        return cls(p50=as_hours(seconds.p50), p90=as_hours(seconds.p90))


class EstimateOut(BaseModel):
    gpu_hours: HoursRange = Field(description="Expected GPU-hours.", examples=[{"p50": "0.0264", "p90": "0.0500"}])
    gpu_seconds: SecondsRange = Field(description="The same in GPU-seconds.", examples=[{"p50": 95, "p90": 180}])
    tokens: int = Field(description="Tokens that training will process, counted exactly.", examples=[12840])
    loss_tokens: int | None = Field(
        description="How many of them are learnt: completions, not prompts; null for pictures.", examples=[9120]
    )
    padding_tokens: int = Field(
        description="Padding that is expected to fill up unpacked batches: computed, and not billed.",
        examples=[0],
    )
    rows: int = Field(description="Usable rows of the data set.", examples=[64])
    steps: int = Field(description="Optimizer steps.", examples=[32])
    vram_gib: float = Field(description="Peak device memory in GiB.", examples=[3.1])
    vram_parts: dict[str, float] | None = Field(
        description="The peak by what it is for, in GiB: weights, adapter (with gradients and moments), activations, "
        "logits, pictures, context, allocator; null in quotes of before.",
        examples=[{"weights": 0.251, "adapter": 0.007, "activations": 0.664, "context": 1.0, "allocator": 0.048}],
    )
    adapter_parameters: int = Field(description="Parameters that are trained.", examples=[460800])
    base_model: str = Field(description="Base model of the catalogue.", examples=["smollm2-135m-instruct"])
    sku: str = Field(description="Type of device that the estimate is for.", examples=["cpu"])
    gpus: int = Field(description="Devices of one machine that share the job's steps.", examples=[1])
    fit: FitJudgement = Field(
        description="Whether the job fits into the device's memory: fits, tight, or does_not_fit.", examples=["fits"]
    )
    gradient_checkpointing: bool = Field(description="Whether activations are computed twice.", examples=[False])
    calibration: str = Field(description="Version of the calibration that made the estimate.", examples=["7"])
    calibration_runs: int = Field(
        description="Finished runs that gave the interval its width; 0: published figures only, so a wide one.",
        examples=[30],
    )
    uncertain: list[str] = Field(
        description="What the interval is wide for or does not know of (a busy machine, a device without runs), and "
        "what would narrow it; a sentence each.",
        examples=[["busy machine: when this was quoted 2.0 processes for each core wanted to run"]],
    )

    @classmethod
    def of(cls, estimate: JobEstimate, say: Say) -> "EstimateOut":
        described = cls.describe(estimate)
        return cls(**{**described, "uncertain": [say(each) for each in described["uncertain"]]})

    @staticmethod
    def describe(estimate: JobEstimate) -> dict[str, Any]:
        """Describe an estimate by the names of these fields, in their order."""
        known, seconds = vars(estimate), estimate.gpu_seconds
        described = {name: known.get(name) for name in EstimateOut.model_fields}
        described["gpu_hours"] = {"p50": as_hours(seconds.p50), "p90": as_hours(seconds.p90)}
        described["gpu_seconds"] = {"p50": seconds.p50, "p90": seconds.p90}
        described["uncertain"] = name_uncertainties(estimate)
        return described
