"""The loss of a job by step, for curves and tables, and as event files for TensorBoard."""

from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from broker.http.edge import AnyCaller, AnyKey, feature_router
from broker.jobs import service
from broker.jobs.reading.event_files import read_run_curves, zip_event_files
from broker.jobs.reading.loss_curve import MOST_BUCKETS, LossCurve, read_loss_curve

router = feature_router("/jobs", "jobs")
Buckets = Annotated[
    int, Query(ge=1, le=MOST_BUCKETS, description="Into so many groups of steps at most.", examples=[100])
]

ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One zip.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class LossOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    step: int = Field(description="The last step of the group.", examples=[40])
    mean: float | None = Field(description="Mean training loss; null: not finite, or none was told.", examples=[2.31])
    low: float | None = Field(description="The lowest of any step.", examples=[2.24])
    high: float | None = Field(description="The highest of any step.", examples=[2.40])
    validation: float | None = Field(
        default=None, description="Loss of the held-out rows after this step, where it was measured.", examples=[2.44]
    )


class JobLossesOut(BaseModel):
    object: str = Field(default="job_losses", description="Kind of object.", examples=["job_losses"])
    job_id: str = Field(description="The job.", examples=["job_01k"])
    steps_in_group: int = Field(description="So many steps share a row; 1: each has its own.", examples=[1])
    data: list[LossOut] = Field(description="By step.", examples=[[{"step": 40, "mean": 2.31}]])

    @classmethod
    def of(cls, job_id: str, curve: LossCurve) -> "JobLossesOut":
        """Join the training loss with the validation loss, by step."""
        rows = {each.step: LossOut.model_validate(each) for each in curve.training}
        for each in curve.validation:
            row = rows.setdefault(each.step, LossOut(step=each.step, mean=None, low=None, high=None))
            row.validation = each.loss
        return cls(job_id=job_id, steps_in_group=curve.steps_in_bucket, data=[rows[step] for step in sorted(rows)])


@router.get("/{job_id}/losses")
async def get_job_losses(work: AnyKey, job_id: str, buckets: Buckets = MOST_BUCKETS) -> JobLossesOut:
    """Get the training and validation loss of a job by step: of all its runs, thinned out so that each spike shows."""
    await service.get_job(work, job_id)
    return JobLossesOut.of(job_id, await read_loss_curve(work, job_id, buckets=buckets))


@router.get("/{job_id}/tensorboard", response_class=Response, responses=ZIP)
async def download_event_files(caller: AnyCaller, job_id: str) -> Response:
    """Download what a job's training told as event files for TensorBoard: one zip with a folder for each run."""
    async with caller.look() as work:
        config, curves = await read_run_curves(work, job_id)
    content = await zip_event_files(job_id, config, curves)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}-tensorboard.zip"'}
    return Response(content, media_type="application/zip", headers=headers)
