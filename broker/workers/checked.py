"""What a worker has found in a data set: it becomes the data set's report."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from broker import errors
from broker.datasets.checks import keep_report
from broker.datasets.findings import DatasetFinding
from broker.datasets.service import get_dataset
from broker.jobs.events import record_event
from broker.jobs.service import get_job
from broker.work import Work
from broker.workers.labelled import receive_json
from broker.workers.uploads import lock_live_run
from pricing.datasets.finding_level import Level
from pricing.training.check_config import is_check_config
from pricing.training.label_config import LONGEST_NAME

MOST_FINDINGS, MOST_FIGURES = 1_000_000, 100
# Of a data set only the last report is kept; which runs have handed one in, the events of their jobs tell.
CHECKED = "checked"


class FoundIn(BaseModel):
    """One thing about one file or row, or with an empty file about the data set."""

    model_config = ConfigDict(extra="ignore")
    file: str = Field(max_length=LONGEST_NAME)
    line: int | None = Field(default=None, ge=1)
    level: Level
    message: str = Field(max_length=10_000)
    cure: str = Field(max_length=10_000)

    def read(self) -> DatasetFinding:
        return DatasetFinding(self.file, self.line, self.level, f"{self.message}; {self.cure}")


class ReportIn(BaseModel):
    """The report of a check; `figures` are counts by name."""

    model_config = ConfigDict(extra="ignore")
    figures: dict[str, int] = Field(max_length=MOST_FIGURES)
    findings: list[FoundIn] = Field(max_length=MOST_FINDINGS)


async def receive_report(chunks: AsyncIterator[bytes], sha256: str) -> ReportIn:
    """Read what a worker sends. Raises: UploadTooLarge, ChecksumMismatch, InvalidRequest."""
    return await receive_json(ReportIn, chunks, sha256)


async def keep_checked(work: Work, run_id: str, fence_token: int, report: ReportIn) -> dict[str, Any]:
    """Keep what a run has found; returns how many findings there are of each level.

    Raises: NotFound, StaleFenceToken; InvalidRequest, for a run that does not check.
    """
    locked = await lock_live_run(work, run_id, fence_token)
    job = await get_job(work, locked.job.id)
    if not is_check_config(job.config):
        raise errors.invalid_field("run_id", "this run checks nothing")
    dataset = await get_dataset(work, job.dataset_id)
    found = (each.read() for each in report.findings)
    kept = keep_report(work, dataset, found, job_id=job.id, run_id=run_id)
    record_event(work, locked.job, CHECKED, {"run_id": run_id, "figures": report.figures, **kept.counts})
    return kept.counts
