"""Fine-tuning jobs: each is a job."""

from typing import Annotated, Any

from fastapi import Query, Request

from broker.facades.asking import Broker, find_order_key_of, is_repeated, make_digest, read_json, require_name
from broker.facades.job_events import list_all_events
from broker.facades.models import start_from
from broker.facades.openai.door import facade_router
from broker.facades.openai.objects import list_objects, write_checkpoint, write_event, write_job
from broker.facades.openai.orders import read_order

router = facade_router()
AtMost = Annotated[int, Query(ge=1, le=100)]


@router.post("/fine_tuning/jobs")
async def create_job(request: Request) -> dict[str, Any]:
    """Order a job: it is quoted, held and queued together, or refused."""
    broker, body = Broker(request), await read_json(request)
    order = read_order(body, default_max_cost=await broker.find_max_cost())
    config = order["config"]
    order["config"] = await start_from(broker, config["base_model"], config)
    digest = make_digest(await request.body())
    key = await find_order_key_of(request, digest, is_repeated=is_repeated(request))
    return write_job(await broker.post("/jobs", order, key=key))


@router.get("/fine_tuning/jobs")
async def list_jobs(request: Request, after: str | None = None, limit: AtMost = 20) -> dict[str, Any]:
    """List jobs, the newest first: those of the REST API among them."""
    page = await Broker(request).get("/jobs", limit=limit, cursor=after)
    return list_objects([write_job(each) for each in page["data"]], has_more=page["next_cursor"] is not None)


@router.get("/fine_tuning/jobs/{job_id}")
async def retrieve_job(request: Request, job_id: str) -> dict[str, Any]:
    return write_job(await Broker(request).get(f"/jobs/{require_name(job_id)}"))


@router.post("/fine_tuning/jobs/{job_id}/cancel")
async def cancel_job(request: Request, job_id: str) -> dict[str, Any]:
    return write_job(await Broker(request).post(f"/jobs/{require_name(job_id)}/cancel"))


@router.post("/fine_tuning/jobs/{job_id}/pause")
async def pause_job(request: Request, job_id: str) -> dict[str, Any]:
    return write_job(await Broker(request).post(f"/jobs/{require_name(job_id)}/pause"))


@router.post("/fine_tuning/jobs/{job_id}/resume")
async def resume_job(request: Request, job_id: str) -> dict[str, Any]:
    return write_job(await Broker(request).post(f"/jobs/{require_name(job_id)}/resume"))


@router.get("/fine_tuning/jobs/{job_id}/events")
async def list_events(request: Request, job_id: str, after: str | None = None, limit: AtMost = 20) -> dict[str, Any]:
    """List what happened to a job, the newest first."""
    events = [write_event(each) for each in await list_all_events(Broker(request), job_id)][::-1]
    ids = [each["id"] for each in events]
    first = ids.index(after) + 1 if after in ids else 0
    return list_objects(events[first : first + limit], has_more=len(events) > first + limit)


@router.get("/fine_tuning/jobs/{job_id}/checkpoints")
async def list_checkpoints(
    request: Request, job_id: str, after: str | None = None, limit: AtMost = 10
) -> dict[str, Any]:
    """List the checkpoints of a job, the newest first."""
    broker = Broker(request)
    job = await broker.get(f"/jobs/{require_name(job_id)}")
    page = await broker.get(f"/jobs/{require_name(job_id)}/checkpoints", limit=limit, cursor=after)
    shown = [write_checkpoint(job, each) for each in page["data"]]
    return list_objects(shown, has_more=page["next_cursor"] is not None)
