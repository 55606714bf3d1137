"""API shapes of a job's training log."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.jobs.reading.training_log import TrainingLog, name_line
from broker.jobs.tables import LoggedLine


class LogLineOut(BaseModel):
    id: str = Field(description="Place in the log; send it as `cursor` for later lines.", examples=["run_01k:17"])
    object: Literal["log_line"] = Field(default="log_line", description="Kind of object.", examples=["log_line"])
    run_id: str = Field(description="The run that wrote it.", examples=["run_01k"])
    number: int = Field(description="Its number among all lines of the run, from 0.", examples=[17])
    at: datetime = Field(description="When it was written (UTC).", examples=["2026-11-24T10:05:00Z"])
    text: str = Field(description="What it says, secrets replaced.", examples=["step 10/80 loss 2.31 tokens/s 210"])

    @classmethod
    def of(cls, row: LoggedLine) -> "LogLineOut":
        return cls(id=name_line(row), run_id=row.run_id, number=row.number, at=row.at, text=row.text)


class JobLogOut(BaseModel):
    data: list[LogLineOut] = Field(description="The oldest first.", examples=[[{"text": "training from step 0 to 80"}]])
    next_cursor: str | None = Field(description="Send it as `cursor`; null: no more now.", examples=["run_01k:199"])
    kept: int = Field(description="Lines of the job that are kept, whatever is asked for.", examples=[240])
    left_out: int = Field(
        description="Lines that its runs wrote and that were not kept: more than a run may write, or lost on the way.",
        examples=[0],
    )

    @classmethod
    def of(cls, log: TrainingLog) -> "JobLogOut":
        lines = [LogLineOut.of(line) for line in log.lines]
        return cls(data=lines, next_cursor=log.next_cursor, kept=log.kept, left_out=log.left_out)
