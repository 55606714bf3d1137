"""A job's page: where it stands, why it waits, its curve, samples, log and parameters; and how it is stopped."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.adapters import service as adapters
from broker.capacity.announcements import list_notices_for
from broker.console.customer.job_view import (
    EvictionShown,
    JobHead,
    JobLog,
    JobOverview,
    JobTraining,
    TrainingLines,
    WaitingShown,
    compare_with_quote,
    group_samples,
    join_waits,
    list_on_us,
    make_head,
    place_waits,
    tell_facts,
)
from broker.console.customer.job_words import describe_silence, describe_status
from broker.console.customer.loss_chart import draw_losses, list_rows, write_csv
from broker.console.customer.training_fields import write_value
from broker.console.frame.days import DayAsked
from broker.console.frame.forms import Form, Submitted, read_whole
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.frame.problem import Problem
from broker.datasets.versions import find_made_by
from broker.http.csv_table import MEDIA_TYPE
from broker.http.versions import make_etag
from broker.jobs import service as jobs
from broker.jobs.eviction_schemas import EvictionOut
from broker.jobs.reading.course import list_samples, read_log, read_time_to_start
from broker.jobs.reading.event_files import read_run_curves, zip_event_files
from broker.jobs.reading.evictions import list_evictions
from broker.jobs.reading.expected_end import expect_end
from broker.jobs.reading.loss_curve import read_loss_curve
from broker.jobs.reading.sooner import list_sooner
from broker.jobs.reading.training_log import LinesWanted, read_training_log
from broker.jobs.reading.wait_causes import add_up_causes, read_wait
from broker.jobs.rules.model import HOLDS_DEVICES, TERMINAL, JobStatus
from broker.jobs.running.checkpoints import find_last_checkpoint
from broker.jobs.running.lost_work import read_who_pays
from broker.jobs.running.notes import find_note, list_note_settings
from broker.jobs.service import Job
from broker.persistence.documents import keep_readable
from broker.quotes import service as quotes
from broker.work import Work
from pricing.money import Money
from pricing.training.label_config import is_label_config

router = page_router("/jobs")

Tab = Literal["overview", "training", "lines", "log", "settings"]
MOST_RUNS = 50
LONGEST_WORDS = 200
MOST_STEP = 10**12
# The panels that follow a live job; what tells an age is not among them. Their moment is told to the minute.
LIVE: dict[Tab, tuple[str, ...]] = {
    "overview": ("waiting", "cost", "runs"),
    "training": ("losses", "samples"),
    "lines": (),
    "log": (),
    "settings": (),
}


@dataclass(frozen=True)
class Asked:
    """What the URL asks of a tab: of the curve its scale and its steps, of logs their words and where to go on."""

    is_log: bool = False
    words: str = ""
    before: int | None = None
    until: str | None = None
    since: date | None = None
    follows: bool = False
    first: int = 1
    last: int | None = None


@router.get("/{job_id}")
async def show_job(
    page: CustomerPage,
    job_id: str,
    tab: Tab = "overview",
    scale: Literal["linear", "log"] = "linear",
    words: Annotated[str, Query(max_length=LONGEST_WORDS)] = "",
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    until: Annotated[str | None, Query(max_length=LONGEST_WORDS)] = None,
    since: DayAsked = None,
    follow: bool = False,
    first: Annotated[int | None, Query(ge=1, le=MOST_STEP)] = None,
    last: Annotated[int | None, Query(ge=1, le=MOST_STEP)] = None,
) -> HTMLResponse:
    """Show a job, under the tab that the URL names; of its curve the steps from `first` to `last`."""
    return await _show(page, job_id, tab, Asked(scale == "log", words, before, until, since, follow, first or 1, last))


async def _show(
    page: Page,
    job_id: str,
    tab: Tab = "overview",
    asked: Asked = Asked(),
    *,
    problem: Problem | None = None,
    status: int = 200,
    values: Mapping[str, str] | None = None,
) -> HTMLResponse:
    work = await page.begin()
    job = await jobs.get_job(work, job_id)
    head, note = await _read_head(work, job), await find_note(work, job_id)
    read: Callable[[], Awaitable[Any]] = {
        "overview": lambda: _read_overview(work, job, head),
        "training": lambda: _read_training(work, job_id, asked, [] if note is None else note.pinned_steps),
        "lines": lambda: _read_lines(work, job_id, asked),
        "log": lambda: _read_log(work, job_id, asked),
        "settings": lambda: _read_settings(job),
    }[tab]
    return page.show(
        "customer/job.html",
        status=status,
        is_over=job.status in TERMINAL,
        live_parts=("head", *LIVE[tab]),
        head=head,
        tab=tab,
        box=Panel.ready(await read(), page.now.replace(second=0, microsecond=0)),
        form=Form(values or {}, problem),
        tell_facts=tell_facts,
        note=note,
        seen_version=make_etag(list_note_settings(job, note)),
    )


async def _read_head(work: Work, job: Job) -> JobHead:
    run = await jobs.find_active_run(work, job.id) if job.status in HOLDS_DEVICES else None
    silent = describe_silence(job, None if run is None else run.last_heartbeat_at, work.now)
    ends = None if keep_readable(job.estimate) is None else expect_end(job, work.now)
    return make_head(job, describe_status(job), silent, ends)


async def _read_overview(work: Work, job: Job, head: JobHead) -> JobOverview:
    told, who = await read_time_to_start(work, job), await read_who_pays(work, job)
    waits = join_waits(add_up_causes(await read_wait(work, job)), told)
    runs = (
        await work.session.scalars(jobs.select_runs(job.id).order_by(jobs.Run.attempt.desc()).limit(MOST_RUNS))
    ).all()
    active = next((run for run in runs if run.ended_at is None), None)
    notices = await list_notices_for(
        work, None if active is None else active.pool, None if active is None else active.node
    )
    return JobOverview(
        waiting=await _read_waiting(work, job),
        waits=place_waits(waits),
        wait_seconds=sum(waits.values()),
        has_started=job.started_at is not None,
        compared=compare_with_quote(job, await _read_quoted(work, job), keep_readable(job.estimate)),
        on_us=list_on_us(who.borne),
        evictions=[
            _show_eviction(EvictionOut.of(card, for_staff=False)) for card in await list_evictions(work, job.id)
        ],
        notices=notices,
        runs=runs,
        adapter=None if head.job.adapter_id is None else await adapters.find_adapter_of_job(work, job.id),
        batch_id=job.batch_id,
        made=await find_made_by(work, job.id) if is_label_config(job.config) else None,
    )


async def _read_waiting(work: Work, job: Job) -> WaitingShown | None:
    if job.status != JobStatus.QUEUED:
        return None
    return WaitingShown(job.pending_reason, job.expected_start, job.latest_start, await list_sooner(work, job))


async def _read_quoted(work: Work, job: Job) -> tuple[Money, Money] | None:
    """Read what the job was quoted under its contract, at p50 and p90."""
    if job.quote_id is None:
        return None
    quote = await quotes.get_quote(work, job.quote_id)
    own = [price for price in quote.prices if price.charged.contract_id == job.contract_id]
    return (own[0].total, own[0].total_p90) if own else None


def _show_eviction(card: EvictionOut) -> EvictionShown:
    return EvictionShown(
        message=card.message,
        message_zh=card.message_zh,
        price=Money.from_decimal(card.price.amount),
        other_price=None if card.other_price is None else Money.from_decimal(card.other_price.amount),
        lost_gpu_seconds=card.lost_gpu_seconds,
        lost_tokens=card.lost_tokens,
        paid_by_house=card.paid_by == "house",
        at=card.created_at,
    )


async def _read_training(work: Work, job_id: str, asked: Asked, pinned: Sequence[int]) -> JobTraining:
    last = None if asked.last is None else max(asked.first, asked.last)
    curve = await read_loss_curve(work, job_id, first=asked.first, last=last)
    return JobTraining(
        chart=draw_losses(curve, is_log=asked.is_log),
        rows=list_rows(curve),
        steps_in_bucket=curve.steps_in_bucket,
        is_log=asked.is_log,
        first=asked.first,
        last=last,
        samples=group_samples(await list_samples(work, job_id, pinned=pinned)),
        pinned=pinned,
    )


async def _read_log(work: Work, job_id: str, asked: Asked) -> JobLog:
    lines = await read_log(work, job_id, words=asked.words, before=asked.before)
    return JobLog(lines, asked.words, asked.follows)


async def _read_lines(work: Work, job_id: str, asked: Asked) -> TrainingLines:
    """Read the end of the training log, or what stands before a line of it, in the order in which it was written."""
    zone = ZoneInfo(work.settings.time_zone)
    since = None if asked.since is None else datetime.combine(asked.since, time(), zone)
    wanted = LinesWanted(asked.words or None, since, asked.until, newest_first=True)
    return TrainingLines(await read_training_log(work, job_id, wanted), asked.words, asked.since, asked.follows)


async def _read_settings(job: Job) -> list[tuple[str, str]]:
    keys = [(key, write_value(value)) for key, value in sorted(job.config.items())]
    return keys + [(f"tracker.{key}", value) for key, value in (job.tracker or {}).items() if value is not None]


@router.get("/{job_id}/losses.csv")
async def download_losses(page: CustomerPage, job_id: str) -> Response:
    """Download the job's loss curve, with all the steps that the page's table leaves out."""
    work = await page.begin()
    await jobs.get_job(work, job_id)
    content = write_csv(await read_loss_curve(work, job_id, buckets=100_000))
    headers = {"Content-Disposition": f'attachment; filename="{job_id}-losses.csv"'}
    return Response(content, media_type=MEDIA_TYPE, headers=headers)


@router.get("/{job_id}/tensorboard.zip")
async def download_event_files(page: CustomerPage, job_id: str) -> Response:
    """Download what the job's training told as event files for TensorBoard."""
    async with page.caller.look() as work:
        config, curves = await read_run_curves(work, job_id)
    content = await zip_event_files(job_id, config, curves)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}-tensorboard.zip"'}
    return Response(content, media_type="application/zip", headers=headers)


@router.get("/{job_id}/stop")
async def ask_to_stop(page: CustomerPage, job_id: str) -> HTMLResponse:
    """Say what is kept of a job that is stopped and what is charged, and ask."""
    work = await page.begin()
    job = await jobs.get_job(work, job_id)
    head = await _read_head(work, job)
    return page.show(
        "customer/job_stop.html", head=head, checkpoint=await find_last_checkpoint(work, job_id), form=Form()
    )


@router.post("/{job_id}/notes")
async def annotate_job(page: CustomerPage, job_id: str) -> Response:
    """Change a job's name and notes, or its pin, through the API: those that the form has."""
    form = await page.read_form()
    said: dict[str, Any] = {name: form.get(name) or None for name in ("name", "notes") if name in form.values}
    if "pinned" in form.values:
        said["pinned"] = form.get("pinned") == "1"
    if "pin_step" in form.values:
        return await _pin_step(page, job_id, form)
    answer = await page.ask("PATCH", f"/v1/jobs/{job_id}", said, key=form.key, seen=form.seen)
    if answer.problem is not None:
        return await _show(page, job_id, problem=answer.problem, status=answer.status, values=form.values)
    return page.go_to(f"/console/jobs/{job_id}")


async def _pin_step(page: Page, job_id: str, form: Submitted) -> Response:
    """Pin the samples of a step, or no longer, where they are pinned."""
    step, path = read_whole(form.get("pin_step")), f"/v1/jobs/{job_id}"
    found = await page.ask("GET", path)
    if found.problem is None:
        pinned: list[int | str] = found.body["pinned_steps"]
        steps = [each for each in pinned if each != step] if step in pinned else [*pinned, step]
        found = await page.ask("PATCH", path, {"pinned_steps": steps}, seen=found.version)
    if found.problem is not None:
        return await _show(page, job_id, "training", problem=found.problem, status=found.status)
    return page.go_to(f"/console/jobs/{job_id}?tab=training#step-{step}")


@router.post("/{job_id}/{act}")
async def control_job(page: CustomerPage, job_id: str, act: Literal["cancel", "pause", "resume"]) -> Response:
    """Cancel, pause or resume a job through the API; a refusal is shown on its page."""
    form = await page.read_form()
    body = form.given("max_cost") if act == "resume" else None
    answer = await page.ask("POST", f"/v1/jobs/{job_id}/{act}", body, key=form.key)
    if answer.problem is not None:
        return await _show(page, job_id, problem=answer.problem, status=answer.status)
    return page.go_to(f"/console/jobs/{job_id}")
