"""Fine-tuning jobs: each is a job."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from broker.facades.asking import (
    Broker,
    Refused,
    find_order_key_of,
    is_repeated,
    make_digest,
    read_json,
    require_name,
)
from broker.facades.job_events import list_all_events
from broker.facades.model_names import find_adapter_id
from broker.facades.models import find_name, list_all, list_newest, start_from
from broker.facades.orders import read_text, refuse
from broker.facades.together.adapter_archive import AdapterArchive, write_head
from broker.facades.together.door import facade_router
from broker.facades.together.events import write_event
from broker.facades.together.objects import write_checkpoint, write_job, write_limits, write_metrics
from broker.facades.together.orders import read_config, read_order
from broker.facades.together.prices import UNAVAILABLE, write_estimate

router = facade_router()
MOST_LISTED = 1000
JOB = "job_"


@router.post("/fine-tunes")
async def create_job(request: Request) -> dict[str, Any]:
    """Order a job: it is quoted, held and queued together, or refused."""
    broker, body = Broker(request), await read_json(request)
    order = read_order(body, default_max_cost=await broker.find_max_cost())
    order["config"] = await _start(broker, body, order["config"])
    digest = make_digest(await request.body())
    key = await find_order_key_of(request, digest, is_repeated=is_repeated(request))
    return _write(request, await broker.post("/jobs", order, key=key))


async def _start(broker: Broker, body: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Complete a configuration by what it starts from: a model, or what a job has made, by its id or its model's name.

    Raises: Refused.
    """
    before = body.get("from_checkpoint")
    if before is None:
        return await start_from(broker, read_text(body, "model"), config)
    made, colon, step = read_text(body, "from_checkpoint").partition(":")
    if colon and step:
        raise refuse("from_checkpoint", "goes on from what a job has made in the end; leave out the step")
    if made.startswith(JOB):
        adapter_id = (await broker.get(f"/jobs/{require_name(made)}"))["adapter_id"]
        if adapter_id is None:
            raise refuse("from_checkpoint", "has made no adapter that could be gone on from")
        made = f"ft::{adapter_id}"
    return await start_from(broker, made, config)


@router.post("/fine-tunes/estimate-price")
async def estimate_price(request: Request) -> dict[str, Any]:
    """Estimate what a job would cost: a quote is made. Where the file is wrong, there is no price."""
    broker, body = Broker(request), await read_json(request)
    config = await _start(broker, body, read_config(body))
    try:
        quote = await broker.post("/quotes", {"dataset_id": read_text(body, "training_file"), "config": config})
    except Refused as refused:
        slug = str(refused.members.get("type", "")).rpartition("/")[2]
        if slug not in UNAVAILABLE:
            raise
        return {"estimation_available": False, "unavailable_reason": UNAVAILABLE[slug]}
    return write_estimate(quote, await broker.find_max_cost())


@router.get("/fine-tunes/models/limits")
async def get_limits(request: Request, model_name: str) -> dict[str, Any]:
    """Tell within which bounds a model is trained here; one of which nothing is known is refused when it is ordered."""
    broker = Broker(request)
    if model_name.startswith(JOB):
        model_name = (await broker.get(f"/jobs/{require_name(model_name)}"))["config"]["base_model"]
    adapter_id = find_adapter_id(model_name)
    if adapter_id is not None:
        model_name = (await broker.get(f"/adapters/{require_name(adapter_id)}"))["base_model"]
    return write_limits(await broker.get(f"/base-models/{require_name(await find_name(broker, model_name))}"))


@router.get("/fine-tunes")
async def list_jobs(request: Request) -> dict[str, Any]:
    """List the newest jobs, those of the REST API among them; the clients know no pages of them."""
    jobs = await list_newest(Broker(request), "/jobs", MOST_LISTED)
    return {"data": [_write(request, each) for each in jobs]}


@router.get("/fine-tunes/{job_id}")
async def retrieve_job(request: Request, job_id: str) -> dict[str, Any]:
    return _write(request, await _get(Broker(request), job_id))


@router.post("/fine-tunes/{job_id}/cancel")
async def cancel_job(request: Request, job_id: str) -> dict[str, Any]:
    """Cancel a job: one that runs stops at its next heartbeat."""
    return _write(request, await Broker(request).post(f"/jobs/{require_name(job_id)}/cancel"))


@router.delete("/fine-tunes/{job_id}")
async def delete_job(request: Request, job_id: str) -> None:
    """Refuse to delete a job: usage and invoices refer to it."""
    await _get(Broker(request), job_id)
    detail = "The record of a job stays, since its invoices refer to it; DELETE /v1/adapters/{id} removes what it made."
    raise Refused(409, {"detail": detail, "type": "/problems/illegal-transition"})


@router.get("/fine-tunes/{job_id}/events")
async def list_events(request: Request, job_id: str) -> dict[str, Any]:
    """List what happened to a job, the oldest first."""
    return {"data": [write_event(each) for each in await list_all_events(Broker(request), job_id)]}


@router.get("/fine-tunes/{job_id}/checkpoints")
async def list_checkpoints(request: Request, job_id: str) -> dict[str, Any]:
    """List the checkpoints of a job, the newest first."""
    broker = Broker(request)
    job = await _get(broker, job_id)
    found = await list_all(broker, f"/jobs/{job['id']}/checkpoints")
    return {"data": [write_checkpoint(job, each) for each in found]}


@router.get("/fine-tunes/{job_id}/metrics")
async def list_metrics(
    request: Request,
    job_id: str,
    global_step_from: int = 0,
    global_step_to: int | None = None,
    resolution: Annotated[int | None, Query(ge=1, le=1000)] = None,
) -> dict[str, Any]:
    """List the losses by step, thinned out to as many as are asked for."""
    told = await Broker(request).get(f"/jobs/{require_name(job_id)}/losses", buckets=resolution)
    return {"metrics": write_metrics(told["data"], global_step_from, global_step_to)}


@router.get("/finetune/download")
async def download(request: Request, ft_id: str, checkpoint: str = "adapter", checkpoint_step: int = 0) -> Response:
    """Answer what a job has made: a tar of the adapter and its configuration, as peft reads a folder."""
    broker = Broker(request)
    if checkpoint != "adapter":
        raise refuse("checkpoint", "must be adapter: the base stays as it is, and nothing is merged into it")
    if checkpoint_step:
        raise refuse("checkpoint_step", "must be 0: checkpoints are to go on from, not to be downloaded")
    job = await _get(broker, ft_id)
    if job["adapter_id"] is None:
        raise refuse("ft_id", f"has made no adapter: it is {job['status']}")
    adapter = await broker.get(f"/adapters/{job['adapter_id']}")
    head = write_head(adapter, await broker.find_adapter_config(adapter["id"]))
    return AdapterArchive(request, f"/v1/adapters/{adapter['id']}/download", head, adapter["size_bytes"])


def _write(request: Request, job: dict[str, Any]) -> dict[str, Any]:
    return write_job(job, request.app.state.services.clock())


async def _get(broker: Broker, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = await broker.get(f"/jobs/{require_name(job_id)}")
    return job
