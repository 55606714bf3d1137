"""What a training told is read by TensorBoard's own reader, run by run, with its configuration beside it."""

import io
import zipfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from broker.jobs.events import record_event
from broker.jobs.service import get_job
from broker.jobs.tables import LossPoint
from broker.system import System
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.running_jobs import start_job


async def test_event_files_of_a_job_are_read_by_tensorboard(api: Api, system: System, tmp_path: Path) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    async with system.work() as work:
        own = {"job_id": job.id, "run_id": job.run_id, "customer_id": customer.id}
        work.session.add(LossPoint(**own, first_step=1, step=1, mean=2.5, low=2.5, high=2.5))
        work.session.add(LossPoint(**own, first_step=2, step=11, mean=1.5, low=1.25, high=3.0))
        told = {"run_id": job.run_id, "step": 11, "loss": 1.75}
        record_event(work, await get_job(work, job.id), "validated", told)
    async with customer_api(api, customer.id) as own_api:
        answer = await own_api.call("GET", f"/jobs/{job.id}/tensorboard", expect=200)
    assert answer.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    (folder,) = (tmp_path / job.id).iterdir()
    names = [file.name for file in folder.iterdir()]
    assert names == [f"events.out.tfevents.{job.id}"], "no machine of ours, and the same at each download"
    read = EventAccumulator(str(folder)).Reload()
    curves = {tag: [(each.step, each.value) for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    assert curves == {
        "train/loss": [(1, 2.5), (11, 1.5)],
        "train/loss_lowest": [(11, 1.25)],
        "train/loss_highest": [(11, 3.0)],
        "validation/loss": [(11, 1.75)],
    }
    assert folder.name == "attempt-1"
    assert read.Tensors("config")[0].tensor_proto.string_val[0].startswith(b"```")


async def test_a_job_that_told_nothing_has_no_files(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    answer = await api.call("GET", f"/jobs/{job.id}/tensorboard", expect=200)
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == []
