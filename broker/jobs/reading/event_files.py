"""What a job's training told, as event files for TensorBoard: a folder for each of its runs, all in one zip.

They are written by TensorBoard's own writer, with the names that the trainer's `log_to: tensorboard` gives them.
"""

import asyncio
import importlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select

from broker.jobs.service import get_job
from broker.jobs.tables import JobEvent, LossPoint, Run
from broker.persistence.documents import json_integer
from broker.work import Work

# So many steps, or groups of steps, of one job at most: more than any worker tells.
MOST_POINTS = 200_000
MOST_VALIDATIONS = 20_000
LOSS, LOWEST, HIGHEST, VALIDATION = "train/loss", "train/loss_lowest", "train/loss_highest", "validation/loss"


@dataclass(frozen=True)
class Scalar:
    """One value of a curve."""

    tag: str
    step: int
    value: float
    at: datetime


@dataclass(frozen=True)
class RunCurves:
    """What one run told: the name of its folder, and its values in the order of their steps."""

    name: str
    scalars: Sequence[Scalar]


async def read_run_curves(work: Work, job_id: str) -> tuple[Mapping[str, Any], list[RunCurves]]:
    """Read a job's configuration, and the curves of each of its runs that told any. Raises: NotFound."""
    job = await get_job(work, job_id)
    runs = await work.session.scalars(select(Run).where(Run.job_id == job_id).order_by(Run.attempt))
    losses = await _read_losses(work, job_id)
    validations = await _read_validations(work, job_id)
    curves = []
    for run in runs:
        # The losses of steps have no times of their own: they stand at the moment at which their run began.
        began = run.claimed_at or run.created_at
        told = [Scalar(tag, step, value, began) for tag, step, value in losses.get(run.id, ())]
        told += validations.get(run.id, [])
        if told:
            curves.append(RunCurves(f"attempt-{run.attempt}", sorted(told, key=lambda each: each.step)))
    return job.config, curves


async def _read_losses(work: Work, job_id: str) -> dict[str, list[tuple[str, int, float]]]:
    query = (
        select(LossPoint.run_id, LossPoint.first_step, LossPoint.step, LossPoint.mean, LossPoint.low, LossPoint.high)
        .where(LossPoint.job_id == job_id)
        .order_by(LossPoint.step)
        .limit(MOST_POINTS)
    )
    found: dict[str, list[tuple[str, int, float]]] = {}
    for run_id, first_step, step, mean, low, high in await work.session.execute(query):
        told = found.setdefault(run_id, [])
        told.append((LOSS, step, mean))
        if first_step < step:
            told += [(LOWEST, step, low), (HIGHEST, step, high)]
    return found


async def _read_validations(work: Work, job_id: str) -> dict[str, list[Scalar]]:
    step, run_id = json_integer(JobEvent.data["step"]), JobEvent.data["run_id"].as_string()
    query = (
        select(run_id, step, JobEvent.data["loss"].astext, JobEvent.created_at)
        .where(JobEvent.job_id == job_id, JobEvent.kind == "validated")
        .order_by(JobEvent.id)
        .limit(MOST_VALIDATIONS)
    )
    found: dict[str, list[Scalar]] = {}
    for run, at_step, loss, at in await work.session.execute(query):
        if loss is not None:
            found.setdefault(run, []).append(Scalar(VALIDATION, at_step, float(loss), at))
    return found


async def zip_event_files(job_id: str, config: Mapping[str, Any], curves: Sequence[RunCurves]) -> bytes:
    """Write event files and zip them; it is slow work, for which no transaction is to be open."""
    return await asyncio.to_thread(_zip, job_id, config, curves)


def _zip(job_id: str, config: Mapping[str, Any], curves: Sequence[RunCurves]) -> bytes:
    content = io.BytesIO()
    with TemporaryDirectory(prefix="lora-broker-events-") as folder, zipfile.ZipFile(content, "w") as archive:
        for each in curves:
            write_events(Path(folder) / each.name, config, each.scalars)
            (file,) = (Path(folder) / each.name).iterdir()
            # The writer's own name tells this machine and the moment: a second download would lie beside the first.
            archive.write(file, f"{job_id}/{each.name}/events.out.tfevents.{job_id}", zipfile.ZIP_DEFLATED)
    return content.getvalue()


def write_events(folder: Path, config: Mapping[str, Any], scalars: Sequence[Scalar]) -> None:
    """Write one run's event file into a folder. The writer is imported when it is needed: that takes a while."""
    writing = importlib.import_module("tensorboard.summary.writer.event_file_writer")
    events = importlib.import_module("tensorboard.compat.proto.event_pb2")
    summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    tensors = importlib.import_module("tensorboard.util.tensor_util")
    metadata = importlib.import_module("tensorboard.plugins.text.metadata")
    writer = writing.EventFileWriter(str(folder))
    try:
        if scalars:
            table = json.dumps(dict(config), ensure_ascii=False, indent=2, sort_keys=True, default=str)
            shown = summaries.Summary.Value(
                tag="config",
                metadata=metadata.create_summary_metadata(display_name="config", description=""),
                tensor=tensors.make_tensor_proto([f"```\n{table}\n```".encode()]),
            )
            first = scalars[0].at.timestamp()
            writer.add_event(events.Event(wall_time=first, step=0, summary=summaries.Summary(value=[shown])))
        for each in scalars:
            value = summaries.Summary.Value(tag=each.tag, simple_value=each.value)
            told = summaries.Summary(value=[value])
            writer.add_event(events.Event(wall_time=each.at.timestamp(), step=each.step, summary=told))
    finally:
        writer.close()
