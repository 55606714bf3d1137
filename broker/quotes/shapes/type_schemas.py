"""API shape of the GPU types that a quoted job may run on."""

from datetime import datetime

from pydantic import BaseModel, Field

from broker.capacity.start_forecasts import QueueStarts
from broker.http.languages import Say
from broker.quotes.costing.gpu_types import QuotedType, UnfitType
from broker.quotes.shapes.estimate_schemas import HoursRange, SecondsRange
from broker.quotes.shapes.price_schemas import PlanPriceOut
from pricing.resources.memory import FitJudgement


class ExpectedStartOut(BaseModel):
    """When the job would start, were it submitted when it was quoted."""

    queue: str = Field(description="The queue that it would enter.", examples=["priority"])
    p50: datetime | None = Field(
        description="Half of such jobs have started by then (UTC); null: nobody knows.",
        examples=["2026-11-24T10:05:00Z"],
    )
    p90: datetime | None = Field(
        description="Nine of ten such jobs have started by then (UTC).", examples=["2026-11-24T10:40:00Z"]
    )


class GpuTypeOut(BaseModel):
    """The quoted configuration on a GPU type that an open pool has: what it needs and costs, or why it does not fit."""

    sku: str = Field(description="Type of device.", examples=["rtx-4090"])
    fit: FitJudgement = Field(description="fits, tight, or does_not_fit.", examples=["fits"])
    reason: str | None = Field(
        description="Why the job cannot run there, and what would help; null: it can.",
        examples=[None, "config.batch_size: needs about 31.0 GiB, RTX 4090 has 22.0 GiB; set batch_size: 2"],
    )
    vram_gib: float | None = Field(description="Peak device memory in GiB; null: see `reason`.", examples=[3.1])
    gpu_seconds: SecondsRange | None = Field(
        description="GPU-seconds there; with one device also the seconds until it has finished, once started.",
        examples=[{"p50": 95, "p90": 180}],
    )
    gpu_hours: HoursRange | None = Field(
        description="The same in GPU-hours.", examples=[{"p50": "0.0264", "p90": "0.0500"}]
    )
    calibration_runs: int | None = Field(
        description="Finished runs on it that gave the interval its width.", examples=[30]
    )
    expected_start: ExpectedStartOut | None = Field(
        description="When the job would start there; null: no cycle had told.", examples=[{"queue": "priority"}]
    )
    prices: list[PlanPriceOut] = Field(description="What it costs on each plan.", examples=[[{"plan": "prepaid"}]])

    @classmethod
    def of(cls, quoted: QuotedType | UnfitType, starts: QueueStarts | None, say: Say) -> "GpuTypeOut":
        if isinstance(quoted, UnfitType):
            nothing = dict.fromkeys(("vram_gib", "gpu_seconds", "gpu_hours", "calibration_runs", "expected_start"))
            return cls(sku=quoted.sku, fit=FitJudgement.DOES_NOT_FIT, reason=say(quoted.reason), prices=[], **nothing)
        estimate = quoted.estimate
        return cls(
            sku=estimate.sku,
            fit=estimate.fit,
            reason=None,
            vram_gib=estimate.vram_gib,
            gpu_seconds=SecondsRange.of(estimate.gpu_seconds),
            gpu_hours=HoursRange.of(estimate.gpu_seconds),
            calibration_runs=estimate.calibration_runs,
            expected_start=_find_start(quoted.sku, starts),
            prices=[PlanPriceOut.of(price) for price in quoted.prices],
        )


def _find_start(sku: str, starts: QueueStarts | None) -> ExpectedStartOut | None:
    if starts is None or sku not in starts.by_type:
        return None
    start = starts.by_type[sku]
    return ExpectedStartOut(queue=starts.queue, p50=start.p50, p90=start.p90)
