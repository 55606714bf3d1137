"""API shape of how good expected starts were."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.reports.start_accuracy import WeekOfStarts


class WeekOfStartsOut(BaseModel):
    week: date = Field(description="The Monday with which the week begins (UTC).", examples=["2026-11-23"])
    promised: int = Field(description="Waiting jobs that were told in it when they start.", examples=[120])
    decided: int = Field(
        description="Of these, those that have started, or wait beyond their p90; who left the queue is not judged.",
        examples=[110],
    )
    started: int = Field(description="Of these, those that have started.", examples=[108])
    by_p50: int = Field(description="Started by `expected_start` as it was told first.", examples=[58])
    by_p90: int = Field(description="Started by `latest_start` as it was told first.", examples=[101])
    coverage_p50: str | None = Field(
        description="`by_p50` of `decided`: a half, where forecasts are right.", examples=["0.5273"]
    )
    coverage_p90: str | None = Field(
        description="`by_p90` of `decided`: nine tenths, where forecasts are right.", examples=["0.9182"]
    )
    slipped: int = Field(description="Jobs that were told a later start meanwhile.", examples=[4])
    median_error_seconds: int | None = Field(
        description="How much later than `expected_start` half of those that started did; below zero: earlier.",
        examples=[-35],
    )

    @classmethod
    def of(cls, week: WeekOfStarts) -> "WeekOfStartsOut":
        own = {name: getattr(week, name) for name in cls.model_fields if not name.startswith(("week", "coverage"))}
        p50, p90 = week.coverage_p50, week.coverage_p90
        return cls(
            week=week.week.date(),
            coverage_p50=None if p50 is None else str(p50),
            coverage_p90=None if p90 is None else str(p90),
            **own,
        )


class StartAccuracyOut(BaseModel):
    object: Literal["start_accuracy"] = Field(
        default="start_accuracy", description="Kind of object.", examples=["start_accuracy"]
    )
    weeks: list[WeekOfStartsOut] = Field(description="The newest first.", examples=[[{"week": "2026-11-23"}]])
    created_at: datetime = Field(description="When it was judged (UTC).", examples=["2026-11-24T10:00:00Z"])

    @classmethod
    def of(cls, weeks: Sequence[WeekOfStarts], now: datetime) -> "StartAccuracyOut":
        return cls(weeks=[WeekOfStartsOut.of(week) for week in weeks], created_at=now)
