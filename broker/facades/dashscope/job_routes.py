"""Fine-tuning jobs: each is a job."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from broker.facades.asking import Broker, Refused, make_digest, read_json, require_name
from broker.facades.dashscope.door import answer, facade_router
from broker.facades.dashscope.event_stream import JobEventStream
from broker.facades.dashscope.file_routes import PageNo, PageSize
from broker.facades.dashscope.objects import write_checkpoint, write_job, write_line
from broker.facades.dashscope.orders import read_order
from broker.facades.dashscope.retries import find_key, may_be_sent_again
from broker.facades.models import list_all, start_from
from broker.facades.numbered_pages import fetch_numbered_page
from broker.facades.orders import refuse
from broker.http.languages import find_language

router = facade_router()
MOST_LINES, PAGE = 1000, 100
ENDED = frozenset({"succeeded", "failed", "cancelled"})
DONE = {"output": {"status": "success"}}


@router.post("/fine-tunes")
async def create_job(request: Request) -> Response:
    """Order a job: it is quoted, held and queued together, or refused."""
    broker, body = Broker(request), await read_json(request)
    order = read_order(body, default_max_cost=await broker.find_max_cost())
    config = order["config"]
    order["config"] = await start_from(broker, config["base_model"], config)
    digest = make_digest(await request.body())
    job = await broker.post("/jobs", order, key=await find_key(request, digest))
    if may_be_sent_again(request) and (await _get(broker, job["id"]))["status"] in ENDED:
        # Whoever has cancelled it has had its answer: this is another order, which only looks the same.
        job = await broker.post("/jobs", order, key=await find_key(request, digest, is_new=True))
    return answer({"output": write_job(job)})


@router.get("/fine-tunes")
async def list_jobs(
    request: Request, page_no: PageNo = 1, page_size: PageSize = 10, model: str | None = None
) -> Response:
    """List jobs, the newest first: those of the REST API among them."""
    if model is not None:
        raise refuse("model", "is not taken here: list all jobs, or ask GET /v1/jobs")
    page = await fetch_numbered_page(Broker(request), "/jobs", page_no, page_size)
    told = {"page_no": page_no, "page_size": page_size, "total": page.total}
    return answer({"output": {**told, "jobs": [write_job(each) for each in page.data]}})


@router.get("/fine-tunes/{job_id}")
async def get_job(request: Request, job_id: str) -> Response:
    return answer({"output": write_job(await _get(Broker(request), job_id))})


@router.post("/fine-tunes/{job_id}/cancel")
async def cancel_job(request: Request, job_id: str) -> Response:
    """Cancel a job: one that runs stops at its next heartbeat."""
    await Broker(request).post(f"/jobs/{require_name(job_id)}/cancel")
    return answer(DONE)


@router.delete("/fine-tunes/{job_id}")
async def delete_job(request: Request, job_id: str) -> Response:
    """Refuse to delete a job: usage and invoices refer to it. What it has made can be deleted."""
    job = await _get(Broker(request), job_id)
    made = job["adapter_id"]
    if made is None:
        told = "The record of a job stays, since its invoices refer to it; it has made nothing that could be deleted."
    else:
        told = (
            "The record of a job stays, since its invoices refer to it; what it made can be deleted by DELETE "
            f"/v1/adapters/{made}."
        )
    raise Refused(409, {"detail": told, "type": "/problems/illegal-transition"})


@router.get("/fine-tunes/{job_id}/logs")
async def list_lines(
    request: Request,
    job_id: str,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 1,
    line: Annotated[int, Query(ge=1, le=MOST_LINES)] = MOST_LINES,
) -> Response:
    """List lines of the training log, from the one of a number, counted from 1; `total` is how many there are."""
    broker, first = Broker(request), max(offset, 1) - 1
    lines, seen, cursor, kept = list[dict[str, Any]](), 0, None, 0
    while True:
        page = await broker.get(f"/jobs/{require_name(job_id)}/logs", limit=PAGE, cursor=cursor)
        lines += page["data"][max(0, first - seen) :]
        seen, cursor, kept = seen + len(page["data"]), page["next_cursor"], page["kept"]
        if cursor is None or len(lines) >= line:
            return answer({"output": {"total": kept, "logs": [write_line(each) for each in lines[:line]]}})


@router.get("/fine-tunes/{job_id}/checkpoints")
async def list_checkpoints(request: Request, job_id: str) -> Response:
    """List the checkpoints of a job, the newest first."""
    broker = Broker(request)
    job = await _get(broker, job_id)
    return answer(
        {"output": [write_checkpoint(job, each) for each in await list_all(broker, f"/jobs/{job['id']}/checkpoints")]}
    )


@router.get("/fine-tunes/{job_id}/stream")
async def stream_events(request: Request, job_id: str) -> Response:
    """Tell what happens to a job as it comes, from its beginning until it is over."""
    job = await _get(Broker(request), job_id)
    language = find_language(request) or "en"

    def say(reason: str) -> str:
        return str(request.app.state.say_problem({"title": reason, "detail": reason}, language)["detail"])

    return JobEventStream(request.app, f"/v1/jobs/{job['id']}/events", language, say)


async def _get(broker: Broker, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = await broker.get(f"/jobs/{require_name(job_id)}")
    return job
