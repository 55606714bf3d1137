"""Usage: CloudEvents in, intervals out."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Body, Header, Query, Request
from pydantic import Field, SkipValidation

from broker import errors
from broker.http.edge import AnyKey, EventCaller, feature_router
from broker.http.labels import WithLabel
from broker.http.shapes import (
    Moment,
    OfContract,
    OfCustomer,
    OfJob,
    OfProject,
    Whole,
    written_like,
)
from broker.jobs.running.locked_run import lock_metered_run
from broker.jobs.service import get_job
from broker.metering.correcting.correction_events import CorrectionEvent
from broker.metering.events.model import UsageCloudEvent
from broker.metering.events.outcomes import Outcome, refuse_if_rejected
from broker.metering.events.posted import MAX_BATCH, Posted, read_posted
from broker.metering.outside.measured import MeasuredEvent
from broker.metering.reading.grouping import GROUPS_PATTERN, LONGEST_CURSOR, UsageFilter, Window, check_window
from broker.metering.reading.listing import list_usage
from broker.metering.reading.rollups import add_up_usage
from broker.metering.schemas import QuarantinedIntervalOut, UsageListOut, UsageReceiptOut
from broker.metering.taking.reported import take_reported
from broker.metering.taking.run_intake import take_intervals
from broker.metering.usage_schemas import UsageGroupsOut
from broker.work import Role, Work

router = feature_router("", "metering")

GroupName = Annotated[str, written_like(GROUPS_PATTERN, "project, day or label:team"), Field(pattern=GROUPS_PATTERN)]
UsageLimit = Annotated[int, Query(ge=1, le=1000, description="Intervals on one page.", examples=[100])]
UsageCursor = Annotated[
    str | None,
    Query(max_length=LONGEST_CURSOR, description="`next_cursor` of the page before.", examples=["WyJwcmpfMDFrIl0="]),
]
AnyEvent = UsageCloudEvent | MeasuredEvent | CorrectionEvent
FenceOfRun = Annotated[
    Whole | None,
    Header(alias="X-Fence-Token", ge=1, description="Fence token of the run whose token is sent.", examples=[1]),
]


@router.post("/usage-events", status_code=202)
async def record_usage_events(
    request: Request,
    caller: EventCaller,
    body: Annotated[
        SkipValidation[AnyEvent | Annotated[list[AnyEvent], Field(max_length=MAX_BATCH)]],
        Body(
            description="One CloudEvent (`application/cloudevents+json`), a batch of up to 500 "
            "(`application/cloudevents-batch+json`), or the data of one whose attributes are headers (`ce-id`, …)."
        ),
    ],
    fence_token: FenceOfRun = None,
) -> UsageReceiptOut:
    """Record usage: intervals of a run by its own token, and what registered sources have measured, by staff's or a
    meter's key.

    Each event is taken by itself, once for ever by source and id; the answer says what became of each. An event that is
    sent alone and rejected is a problem.
    """
    posted = read_posted(request.headers, body, raw=await request.body())
    if caller.actor.role == Role.RUN:
        return await _record_intervals(await caller.begin(), posted, fence_token)
    outcomes = await take_reported(await caller.begin(), posted)
    return _answer(posted, outcomes)


async def _record_intervals(work: Work, posted: Posted, fence_token: int | None) -> UsageReceiptOut:
    if fence_token is None:
        raise errors.invalid_field("X-Fence-Token", "is required with the token of a run")
    locked = await lock_metered_run(work, work.actor.id, fence_token)
    outcomes, quarantined = await take_intervals(work, locked, posted)
    receipt = _answer(posted, outcomes)
    receipt.acknowledged_sequence = locked.run.acknowledged_sequence
    receipt.quarantined = QuarantinedIntervalOut.list_of(quarantined)
    return receipt


def _answer(posted: Posted, outcomes: Sequence[Outcome]) -> UsageReceiptOut:
    if posted.single:
        refuse_if_rejected(outcomes[0])
    return UsageReceiptOut.of(posted.events, outcomes)


@router.get("/jobs/{job_id}/usage", tags=["jobs"])
async def list_job_usage(
    work: AnyKey, job_id: str, limit: UsageLimit = 100, cursor: UsageCursor = None
) -> UsageListOut:
    """List the usage intervals that the job's charges are made of, and their sums."""
    await get_job(work, job_id)
    return UsageListOut.of(await list_usage(work, job_id, limit=limit, cursor=cursor))


@router.get("/usage")
async def get_usage(
    work: AnyKey,
    group_by: Annotated[
        list[GroupName],
        Query(
            max_length=8,
            description="What usage is told apart by: customer, contract, project, job, source, gpu_type, meter, "
            "`label:NAME`, hour, day, month. Give it once for each; without any there is one group.",
            examples=[["project", "day"]],
        ),
    ] = [],  # noqa: B006 (FastAPI copies it)
    since: Annotated[
        Moment | None,
        Query(
            alias="from",
            description="From this full hour on; without it, from the first use on.",
            examples=["2026-11-01T00:00:00Z"],
        ),
    ] = None,
    to: Annotated[
        Moment | None,
        Query(description="Up to this full hour; without it, up to now.", examples=["2026-12-01T00:00:00Z"]),
    ] = None,
    time_zone: Annotated[
        str | None,
        Query(
            max_length=64,
            description="Where days and months begin; without it, where this broker is.",
            examples=["Asia/Shanghai"],
        ),
    ] = None,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    project_id: OfProject = None,
    job_id: OfJob = None,
    source: Annotated[str | None, Query(description="Only what it reported.", examples=["/inference/eu-1"])] = None,
    gpu_type: Annotated[str | None, Query(description="Only on these GPUs.", examples=["h200"])] = None,
    label: WithLabel = None,
    limit: UsageLimit = 100,
    cursor: UsageCursor = None,
) -> UsageGroupsOut:
    """Add up usage by groups: what was metered, whoever pays for it. A customer sees its own."""
    if job_id is not None:
        await get_job(work, job_id)
    groups, window = list(dict.fromkeys(group_by)), Window(since, to, time_zone or work.settings.time_zone)
    check_window(window, groups)
    chosen = UsageFilter(customer_id, contract_id, project_id, job_id, source, gpu_type, label)
    return UsageGroupsOut.of(groups, await add_up_usage(work, groups, window, chosen, limit=limit, cursor=cursor))
