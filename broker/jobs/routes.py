"""Jobs: submit, follow, cancel, pause, resume."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from broker import errors
from broker.capacity.announcements import list_notices_for
from broker.capacity.notice_schemas import NoticeOut
from broker.customer_secrets.service import require_tracker
from broker.datasets.versions import find_made_by
from broker.http.caller import Caller
from broker.http.edge import AnyKey, AnyReader, CustomerInBatch, JobControl, feature_router, identify
from broker.http.event_stream import QUIET, STREAM_RESPONSE, LastEventId, StreamWanted, answer_stream, write_event
from broker.http.labels import WithLabel, read_label
from broker.http.paging import fetch_page
from broker.http.shapes import (
    NEWEST,
    PAYMENT_RESPONSES,
    Cursor,
    IdPrefix,
    Limit,
    Moment,
    NameCursor,
    OfContract,
    OfCustomer,
    OfProject,
    Order,
    Page,
    Whole,
)
from broker.http.versions import ETAG, make_etag
from broker.identity.service import require_project, resolve_customer_of
from broker.jobs import events, service
from broker.jobs.admitting.request import BatchPlace, JobRequest, OfTemplate
from broker.jobs.admitting.starting_points import names_start, require_starting_points
from broker.jobs.admitting.submissions import Submissions, make_quote_for, make_quotes_for
from broker.jobs.batch_schemas import JobBatchOut
from broker.jobs.eviction_schemas import EvictionOut
from broker.jobs.job_pages import PageWanted, write_page
from broker.jobs.log_schemas import JobLogOut
from broker.jobs.lost_work_schemas import JobDetailOut
from broker.jobs.order_schemas import LONGEST_NAME, JobBatchIn, JobIn, JobResumeIn, OrderIn
from broker.jobs.reading.event_feed import EventFeed
from broker.jobs.reading.evictions import list_evictions
from broker.jobs.reading.sooner import list_sooner
from broker.jobs.reading.training_log import LinesWanted, read_training_log
from broker.jobs.rules.model import HOLDS_DEVICES, TERMINAL
from broker.jobs.running import checkpoints, control, resume
from broker.jobs.running.lost_work import read_who_pays
from broker.jobs.running.notes import find_note, list_note_settings
from broker.jobs.schemas import (
    CheckpointOut,
    JobEventListOut,
    JobEventOut,
    JobOut,
    RunOut,
)
from broker.jobs.tables import Job, JobEvent, Run
from broker.templates.service import fill_in_configs
from broker.work import STAFF, Work
from pricing.training.check_config import is_check_config
from pricing.training.label_config import is_label_config

router = feature_router("/jobs", "jobs")


# A stream looks so often whether its key still holds; one on which nothing happens, at its next sign of life.
KEYS_LOOKED_AT_SECONDS = 10.0


async def _get_feed(request: Request) -> EventFeed:
    feed: EventFeed = request.app.state.event_feed
    return feed


async def _get_submissions(request: Request) -> Submissions:
    submissions: Submissions = request.app.state.submissions
    return submissions


async def _get_sight(request: Request) -> Callable[[str | None], Awaitable[bool]]:
    return partial(_still_sees, request)


Feed = Annotated[EventFeed, Depends(_get_feed)]
StillSees = Annotated[Callable[[str | None], Awaitable[bool]], Depends(_get_sight)]
Batched = Annotated[Submissions, Depends(_get_submissions)]
JobStatusName = Literal["queued", "dispatched", "running", "paused", "succeeded", "failed", "cancelled"]


@router.post("", status_code=201, response_model=JobOut, responses=PAYMENT_RESPONSES)
async def submit_job(caller: CustomerInBatch, submissions: Batched, body: JobIn) -> Response:
    """Submit a job: it gets its hold and its place in the queue together, or nothing is kept."""
    customer_id = resolve_customer_of(caller.actor, body.customer_id)
    (config,), meant = await _fill_in(caller, customer_id, body, [body.config])
    request = _read_request(
        body, customer_id, meant, config=config, name=body.name, gpus=body.gpus, quote_id=body.quote_id
    )
    await _check_starts(caller, customer_id, [config])
    await _check_tracker(caller, customer_id, body, request.project_id, [config])
    made = await make_quote_for(caller, request) if body.quote_id is None else None
    return await submissions.submit(caller, request, made)


@router.post("/batch", status_code=201, response_model=JobBatchOut, responses=PAYMENT_RESPONSES)
async def submit_jobs(caller: CustomerInBatch, submissions: Batched, body: JobBatchIn) -> Response:
    """Submit up to 100 configurations of one data set: each becomes a job with a hold of its own; all, or none.

    Where one is refused, nothing is kept, and the problem names it (`configs.3`). They run in their order, `at_once`
    at a time; one that fails or is cancelled keeps none of the others from running.
    """
    customer_id = resolve_customer_of(caller.actor, body.customer_id)
    configs, meant = await _fill_in(caller, customer_id, body, body.configs)
    await _check_starts(caller, customer_id, configs)
    await _check_tracker(caller, customer_id, body, meant.project_id, configs)
    batch_id = caller.services.new_id("bat")
    places = [BatchPlace(batch_id, place, body.at_once) for place in range(len(configs))]
    requests = [
        _read_request(body, customer_id, meant, config=config, name=_name(body, place), gpus=body.gpus, batch=place)
        for config, place in zip(configs, places, strict=True)
    ]
    return await submissions.submit_batch(caller, requests, await make_quotes_for(caller, requests))


async def _fill_in(
    caller: Caller, customer_id: str, body: OrderIn, configs: Sequence[dict[str, Any]]
) -> tuple[Sequence[dict[str, Any]], OfTemplate]:
    """Fill in configurations from the template that is named, if one is; whoever may act in its project alone may so.

    Of most jobs nothing is asked. Raises: Forbidden, NotFound, InvalidRequest.
    """
    if body.template is None:
        require_project(caller.actor, body.project_id)
        return configs, OfTemplate(body.project_id)
    await caller.answer_if_known()
    async with caller.look() as work:
        filled = await fill_in_configs(work, customer_id, body.template, body.project_id, configs)
    require_project(caller.actor, filled.project_id)
    return filled.configs, OfTemplate(filled.project_id, filled.template_id, filled.name)


async def _check_starts(caller: Caller, customer_id: str, configs: Sequence[Mapping[str, Any]]) -> None:
    """Check what configurations go on from, in a transaction of its own; of most jobs nothing is asked."""
    if names_start(configs):
        await caller.answer_if_known()
        async with caller.look() as work:
            await require_starting_points(work, customer_id, configs)


async def _check_tracker(
    caller: Caller, customer_id: str, body: OrderIn, project_id: str | None, configs: Sequence[Mapping[str, Any]]
) -> None:
    """Check that the tracker that is named is one of the customer's, for trainings; of most jobs nothing is asked."""
    if body.tracker is None:
        return
    if any(is_label_config(config) or is_check_config(config) for config in configs):
        raise errors.invalid_field("tracker", "goes with trainings alone; leave it out")
    await caller.answer_if_known()
    async with caller.look() as work:
        await require_tracker(work, customer_id, project_id, body.tracker.secret)


def _name(body: JobBatchIn, batch: BatchPlace) -> str | None:
    return None if body.name is None else f"{body.name} #{batch.place + 1}"


def _read_request(body: OrderIn, customer_id: str, meant: OfTemplate, **own: Any) -> JobRequest:
    """Read what a job and each job of a batch have alike; `own` are the other fields of a request."""
    return JobRequest(
        customer_id=customer_id,
        dataset_id=body.dataset_id,
        contract_id=body.contract_id,
        project_id=meant.project_id,
        template_id=meant.template_id,
        template=meant.template,
        tracker=None if body.tracker is None else body.tracker.model_dump(),
        labels=body.labels,
        queue=body.queue,
        max_cost=body.read_max_cost(),
        gpu_types=None if body.gpu_types is None else tuple(body.gpu_types),
        prefer=body.prefer,
        finish_by=body.finish_by,
        **own,
    )


@router.get("", response_model=Page[JobOut])
async def list_jobs(
    caller: AnyReader,
    status: Annotated[JobStatusName | None, Query(description="Only these.", examples=["running"])] = None,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    project_id: OfProject = None,
    queue: Annotated[str | None, Query(description="Only those of this queue.", examples=["priority"])] = None,
    name: Annotated[
        str | None,
        Query(max_length=LONGEST_NAME, description="Only those with this in their name.", examples=["brand tone"]),
    ] = None,
    search: Annotated[
        str | None,
        Query(
            max_length=LONGEST_NAME,
            description="Only those with this in their name or notes, or at the beginning of their id.",
            examples=["rank 16"],
        ),
    ] = None,
    pinned: Annotated[bool | None, Query(description="Only those that are pinned, or not.", examples=[True])] = None,
    label: WithLabel = None,
    batch_id: Annotated[str | None, Query(description="Only those of this batch.", examples=["bat_01k"])] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Response | Page[JobOut]:
    if all(each is None for each in (name, search, pinned, label, id_prefix, queue, batch_id)):
        wanted = {"status": status, "customer_id": customer_id, "contract_id": contract_id, "project_id": project_id}
        written = await write_page(caller, PageWanted(wanted, limit, cursor, oldest_first=order != NEWEST))
        if written is not None:
            return Response(written, media_type="application/json")
    work = await caller.begin()
    query = service.select_jobs(
        name=name,
        search=search,
        pinned=pinned,
        label=read_label(label),
        id_prefix=id_prefix,
        status=status,
        customer_id=customer_id,
        contract_id=contract_id,
        project_id=project_id,
        queue=queue,
        batch_id=batch_id,
    )
    rows, after = await fetch_page(work.session, query, Job, limit=limit, cursor=cursor, order=order)
    if batch_id is not None and not rows:
        await service.require_batch(work, batch_id)
    return Page(data=[JobOut.of(row, work.now) for row in rows], next_cursor=after)


@router.get("/{job_id}")
async def get_job(work: AnyKey, response: Response, job_id: str) -> JobDetailOut:
    """Get a job: who pays for its usage, for whom it made room, and what would start it sooner."""
    job = await service.get_job(work, job_id)
    cards = await list_evictions(work, job_id)
    evictions = [EvictionOut.of(card, for_staff=work.actor.role in STAFF) for card in cards]
    run = await service.find_active_run(work, job_id) if job.status in HOLDS_DEVICES else None
    concerned = await list_notices_for(work, None if run is None else run.pool, None if run is None else run.node)
    notices = [NoticeOut.model_validate(notice) for notice in concerned]
    shown, who = JobOut.of(job, work.now), await read_who_pays(work, job)
    note = await find_note(work, job_id)
    response.headers[ETAG] = make_etag(list_note_settings(job, note))
    made = await find_made_by(work, job_id) if is_label_config(job.config) else None
    made_id = None if made is None else made.id
    return JobDetailOut.of_job(shown, who, evictions, notices, await list_sooner(work, job), note, made_id)


@router.post("/{job_id}/cancel")
async def cancel_job(work: JobControl, job_id: str) -> JobOut:
    """Cancel a job. A running one stops at its next heartbeat; what it used is billed, the rest of its hold freed."""
    return JobOut.of(await control.cancel_job(work, job_id), work.now)


@router.post("/{job_id}/pause")
async def pause_job(work: JobControl, job_id: str) -> JobOut:
    """Pause a job: a running one stops after a checkpoint. Its hold is kept."""
    return JobOut.of(await control.pause_job(work, job_id), work.now)


@router.post("/{job_id}/resume", responses=PAYMENT_RESPONSES)
async def resume_job(work: JobControl, job_id: str, body: JobResumeIn | None = None) -> JobOut:
    """Queue a paused job again; it goes on from its last checkpoint, with a hold of what is left.

    A job that was paused at its `limit` needs a higher `max_cost`, which replaces its quote's and its old limit.
    """
    return JobOut.of(await resume.resume_job(work, job_id, None if body is None else body.read_max_cost()), work.now)


@router.get("/{job_id}/events", response_model=JobEventListOut, responses=STREAM_RESPONSE)
async def list_job_events(
    work: JobControl,
    feed: Feed,
    still_sees: StillSees,
    job_id: str,
    stream: StreamWanted,
    last_event_id: LastEventId = None,
    after: Annotated[Whole, Query(description="Only events with a higher id.", examples=[0])] = 0,
    limit: Limit = 100,
) -> JobEventListOut | Response:
    """List what happened to the job, oldest first.

    With `Accept: text/event-stream` they come as they happen, until the job is over; a client that comes back goes on
    behind its `Last-Event-ID`. A stream ends soon after its key has, too.
    """
    job = await service.get_job(work, job_id)
    if stream:
        project_id, start = job.project_id, after if last_event_id is None else last_event_id
        return await _stream_events(work, feed, job, start, lambda: still_sees(project_id))
    rows = await events.list_events(work, job_id, after=after, limit=limit)
    cursor = str(rows[-1].id) if len(rows) == limit else None
    return JobEventListOut(data=[JobEventOut.of(row) for row in rows], next_cursor=cursor)


async def _stream_events(
    work: Work, feed: EventFeed, job: Job, after: int, may_go_on: Callable[[], Awaitable[bool]]
) -> Response:
    if job.status in TERMINAL and not await events.list_events(work, job.id, after=after, limit=1):
        return Response(status_code=204)  # a browser comes back until it is told not to
    owner = work.actor.customer_id or work.actor.id
    feed.require_room(owner)
    return answer_stream(_write_events(feed.listen(job.id, after=after, owner=owner), may_go_on))


async def _write_events(
    heard: AsyncGenerator[JobEvent | None], may_go_on: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """Write events as they are heard, for as long as who follows may hear them, which is looked at now and then."""
    seconds = asyncio.get_running_loop().time
    looked_at = seconds()
    async with aclosing(heard):
        async for row in heard:
            if seconds() - looked_at >= KEYS_LOOKED_AT_SECONDS:
                if not await may_go_on():
                    return
                looked_at = seconds()
            yield QUIET if row is None else write_event(row.id, row.kind, JobEventOut.of(row).model_dump_json())


async def _still_sees(request: Request, project_id: str | None) -> bool:
    """Tell whether the key of a stream still holds, and still sees the project; while nobody can tell it goes on."""
    try:
        actor = await identify(request)
    except errors.Unauthenticated:
        return False
    except (errors.Busy, SQLAlchemyError):
        return True
    return actor.projects is None or project_id in actor.projects


@router.get("/{job_id}/logs")
async def list_job_log(
    work: JobControl,
    job_id: str,
    since: Annotated[
        Moment | None, Query(description="Only lines not written before.", examples=["2026-11-24T10:05:00Z"])
    ] = None,
    search: Annotated[
        str | None, Query(max_length=LONGEST_NAME, description="Only lines with this.", examples=["validation loss"])
    ] = None,
    limit: Limit = 100,
    cursor: NameCursor = None,
) -> JobLogOut:
    """List the lines of the training log of all runs of the job, oldest first; the id of a line is a cursor, too."""
    await service.get_job(work, job_id)
    wanted = LinesWanted(search, since, cursor, limit=limit)
    return JobLogOut.of(await read_training_log(work, job_id, wanted))


@router.get("/{job_id}/runs")
async def list_job_runs(work: AnyKey, job_id: str, limit: Limit = 100, cursor: Cursor = None) -> Page[RunOut]:
    """List the attempts of the job, the first first."""
    await service.get_job(work, job_id)
    query = service.select_runs(job_id)
    rows, after = await fetch_page(work.session, query, Run, limit=limit, cursor=cursor, order="oldest")
    return Page(data=[RunOut.of(row, for_staff=work.actor.role in STAFF) for row in rows], next_cursor=after)


@router.get("/{job_id}/checkpoints")
async def list_job_checkpoints(
    work: JobControl, job_id: str, limit: Limit = 100, cursor: Cursor = None
) -> Page[CheckpointOut]:
    """List the checkpoints of the job, the newest first."""
    await service.get_job(work, job_id)
    query = checkpoints.select_checkpoints(job_id)
    rows, after = await fetch_page(work.session, query, checkpoints.Checkpoint, limit=limit, cursor=cursor)
    return Page(data=[CheckpointOut.of(row) for row in rows], next_cursor=after)
