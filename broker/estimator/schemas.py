"""API shapes of the judgement of estimates; `broker estimator report --format json` writes the same."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from pricing.calibration.accuracy import Accuracy, AccuracyReport, JudgedRun
from pricing.calibration.change import Change
from pricing.calibration.coverage import BandState, Coverage


class CoverageOut(BaseModel):
    share: float = Field(description="Share of the runs at or below the quantile.", examples=[0.9])
    lower: float = Field(description="Lower end of its 95 % interval (Wilson).", examples=[0.85])
    upper: float = Field(description="Upper end of its 95 % interval (Wilson).", examples=[0.94])

    @classmethod
    def of(cls, coverage: Coverage) -> "CoverageOut":
        return cls(share=coverage.share, lower=coverage.lower, upper=coverage.upper)


COVERAGE_EXAMPLE: dict[str, Any] = {"share": 0.9, "lower": 0.85, "upper": 0.94}


class AccuracyOut(BaseModel):
    runs: int = Field(description="Runs judged.", examples=[120])
    median_ratio: float = Field(description="Median of actual to estimated at p50; above 1: slower.", examples=[1.02])
    median_error: float = Field(description="Median of |p50 - actual| / actual.", examples=[0.08])
    p50: CoverageOut = Field(description="Coverage of p50.", examples=[COVERAGE_EXAMPLE])
    p90: CoverageOut = Field(description="Coverage of p90.", examples=[COVERAGE_EXAMPLE])
    band: BandState = Field(
        description="p90's coverage against a band of 85 to 95 %; unjudged under 20 runs.", examples=["within"]
    )

    @classmethod
    def of(cls, accuracy: Accuracy) -> "AccuracyOut":
        return cls(
            runs=accuracy.runs,
            median_ratio=accuracy.median_ratio,
            median_error=accuracy.median_error,
            p50=CoverageOut.of(accuracy.p50),
            p90=CoverageOut.of(accuracy.p90),
            band=accuracy.band,
        )


class GroupOut(BaseModel):
    by: str = Field(description="The property that the runs have in common.", examples=["gpu"])
    value: str = Field(description="Their value of that property.", examples=["a100-40g"])
    accuracy: AccuracyOut = Field(description="How good their estimates were.", examples=[{"runs": 120}])


class PointOut(BaseModel):
    level: float = Field(description="Share that should stay at or below the quantile.", examples=[0.9])
    observed: CoverageOut = Field(description="Share that did.", examples=[COVERAGE_EXAMPLE])


class WindowOut(BaseModel):
    started_at: datetime = Field(description="When its first run was over.", examples=["2026-11-23T10:00:00Z"])
    ended_at: datetime = Field(description="When its last run was over.", examples=["2026-11-24T10:00:00Z"])
    accuracy: AccuracyOut = Field(description="How good the estimates in it were.", examples=[{"runs": 20}])


class JudgedRunOut(BaseModel):
    job_id: str = Field(description="The job.", examples=["job_01k"])
    gpu: str = Field(description="Its GPU type.", examples=["a100-40g"])
    calibration: str = Field(description="Calibration that its estimate was made with.", examples=["12"])
    p50: float = Field(description="Estimated GPU-seconds, p50.", examples=[420])
    p90: float = Field(description="Estimated GPU-seconds, p90.", examples=[530])
    actual: float = Field(description="GPU-seconds that it took.", examples=[440])
    finished_at: datetime = Field(description="When it was over.", examples=["2026-11-24T10:00:00Z"])
    has_ended: bool = Field(description="False: stopped at its quote, it would have taken more.", examples=[True])

    @classmethod
    def of(cls, run: JudgedRun) -> "JudgedRunOut":
        return cls(
            job_id=run.job_id,
            gpu=run.kind.sku,
            calibration=run.calibration,
            p50=run.p50,
            p90=run.p90,
            actual=run.actual,
            finished_at=run.finished_at,
            has_ended=run.has_ended,
        )


class ChangeOut(BaseModel):
    gpu: str = Field(description="The GPU type that changed.", examples=["a100-40g"])
    factor: float = Field(description="Its runs take so many times as long since.", examples=[2.0])
    runs: int = Field(description="Runs that have ended since; those of before count no more.", examples=[12])
    since: datetime | None = Field(
        description="When the first of them was over; null: not kept.", examples=["2026-11-24T10:00:00Z"]
    )

    @classmethod
    def of(cls, gpu: str, change: Change) -> "ChangeOut":
        since = datetime.fromisoformat(change.since) if change.since else None
        return cls(gpu=gpu, factor=change.factor, runs=change.runs, since=since)


class EstimatorAccuracyOut(BaseModel):
    object: Literal["estimator_accuracy_report"] = Field(
        default="estimator_accuracy_report", description="Kind of object.", examples=["estimator_accuracy_report"]
    )
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    overall: AccuracyOut | None = Field(description="All runs; null: none is over yet.", examples=[{"runs": 120}])
    groups: list[GroupOut] = Field(description="By GPU type, family and so on.", examples=[[{"by": "gpu"}]])
    reliability: list[PointOut] = Field(description="The reliability diagram.", examples=[[{"level": 0.9}]])
    drift: list[WindowOut] = Field(description="Rolling windows of 20 runs, the oldest first.", examples=[[]])
    changes: list[ChangeOut] = Field(
        description="GPU types that were found to have changed, such as by a driver or a power limit.", examples=[[]]
    )
    runs: list[JudgedRunOut] = Field(description="Estimated against actual.", examples=[[{"job_id": "job_01k"}]])

    @classmethod
    def of(
        cls, judged: AccuracyReport | None, as_of: datetime, changes: Mapping[str, Change]
    ) -> "EstimatorAccuracyOut":
        found = [ChangeOut.of(gpu, change) for gpu, change in changes.items()]
        if judged is None:
            return cls(as_of=as_of, overall=None, groups=[], reliability=[], drift=[], changes=found, runs=[])
        return cls(
            as_of=as_of,
            overall=AccuracyOut.of(judged.overall),
            groups=[GroupOut(by=it.by, value=it.value, accuracy=AccuracyOut.of(it.accuracy)) for it in judged.groups],
            reliability=[PointOut(level=it.level, observed=CoverageOut.of(it.observed)) for it in judged.points],
            drift=[
                WindowOut(started_at=it.started_at, ended_at=it.ended_at, accuracy=AccuracyOut.of(it.accuracy))
                for it in judged.drift
            ],
            changes=found,
            runs=[JudgedRunOut.of(run) for run in judged.runs],
        )
