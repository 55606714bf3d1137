"""A customer's jobs as a list: found, counted and paged by the database, and nobody else's."""

from fastapi import FastAPI
from sqlalchemy import update

from broker.jobs.reading.course import list_samples, read_log, read_time_to_start
from broker.jobs.reading.job_list import JobOrder, JobSearch, count_by_status, list_active, list_jobs, list_needing
from broker.jobs.rules.model import JobStatus
from broker.jobs.service import get_job
from broker.jobs.tables import Job
from broker.system import System
from tests.broker.factories import Api, customer_api, make_ready_customer, submit_job
from tests.broker.http.test_paging import counted
from tests.broker.worker_calls import dispatched_worker


async def test_jobs_are_found_counted_and_paged(api: Api, app: FastAPI, system: System) -> None:
    mine, other = await make_ready_customer(api), await make_ready_customer(api)
    async with customer_api(api, mine.id) as own:
        ids = [(await submit_job(own, mine.dataset["id"], name=f"tone {n}"))["id"] for n in range(3)]
        await own.post(f"/jobs/{ids[1]}/cancel")
    await submit_job(api, other.dataset["id"], customer_id=other.id, name="tone 9")
    async with system.work() as work:
        first = await list_jobs(work, mine.id, JobSearch(page_size=2))
        assert [line.id for line in first.lines] == [ids[2], ids[1]]
        assert first.total == 3
        assert first.pages == 2
        second = await list_jobs(work, mine.id, JobSearch(page=2, page_size=2))
        assert [line.id for line in second.lines] == [ids[0]]
        oldest = await list_jobs(work, mine.id, JobSearch(order=JobOrder.OLDEST, status=JobStatus.QUEUED))
        assert [line.id for line in oldest.lines] == [ids[0], ids[2]]
        assert oldest.total == 2
        named = await list_jobs(work, mine.id, JobSearch(words="TONE 1", order=JobOrder.COST))
        assert [(line.name, line.status) for line in named.lines] == [("tone 1", JobStatus.CANCELLED)]
        assert named.counts == {JobStatus.CANCELLED: 1}
        by_id = await list_jobs(work, mine.id, JobSearch(words=ids[0]))
        assert by_id.total == 1
        assert await count_by_status(work, mine.id) == {JobStatus.QUEUED: 2, JobStatus.CANCELLED: 1}
        assert [line.id for line in await list_active(work, mine.id)] == [ids[2], ids[0]]
        assert await list_needing(work, mine.id, since=work.now) == []


async def test_the_dearest_come_first_whether_they_have_ended_or_not(api: Api, system: System) -> None:
    mine = await make_ready_customer(api)
    async with customer_api(api, mine.id) as own:
        ids = [(await submit_job(own, mine.dataset["id"], name=f"tone {n}"))["id"] for n in range(4)]
        for ended in ids[:2]:
            await own.post(f"/jobs/{ended}/cancel")
    dearest = [ids[0], ids[3], ids[1], ids[2]]
    async with system.work() as work:
        for cost, job_id in zip((10**18, 10**17, 3, 3), (ids[0], ids[3], ids[2], ids[1]), strict=True):
            await work.session.execute(update(Job).where(Job.id == job_id).values(cost_micros=cost))
        await work.session.execute(update(Job).where(Job.id == ids[1]).values(cost_micros=4))  # corrected afterwards
        found = await list_jobs(work, mine.id, JobSearch(order=JobOrder.COST))
        assert [line.id for line in found.lines] == dearest
        second = await list_jobs(work, mine.id, JobSearch(order=JobOrder.COST, page=2, page_size=3))
        assert [line.id for line in second.lines] == dearest[3:]
        ended = await list_jobs(work, mine.id, JobSearch(order=JobOrder.COST, status=JobStatus.CANCELLED))
        assert [line.id for line in ended.lines] == [ids[0], ids[1]]


async def test_what_nobody_named_is_looked_for_once(api: Api, system: System) -> None:
    mine = await make_ready_customer(api)
    async with system.work() as work:
        with counted(system) as statements:
            found = await list_jobs(work, mine.id, JobSearch(words="no such tone"))
        assert (found.total, found.lines, len(statements)) == (0, [], 1)


async def test_a_jobs_course_is_told_by_its_events(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    clock = system.services.clock
    clock.advance(seconds=40)
    async with dispatched_worker(api, app, system, job_id) as worker:
        clock.advance(seconds=8)
        await worker.claim()
        await worker.post("heartbeats", samples=[{"step": 3, "prompt": "tea?", "text": "calm"}])
        error = {"code": "bad_input", "message": "no row"}
        await worker.finish("failed", error=error)
    async with system.work() as work:
        job = await get_job(work, job_id)
        told = await read_time_to_start(work, job)
        assert told.is_over
        assert [(each.cause.value, each.seconds) for each in told.segments] == [("queued", 40), ("starting", 8)]
        assert [(each.step, each.text) for each in await list_samples(work, job_id)] == [(3, "calm")]
        log = await read_log(work, job_id, words="run failed")
        assert [line.kind for line in log.lines] == ["run_failed"]
        assert [line.kind for line in (await read_log(work, job_id, words="calm")).lines] == ["sampled"]
        whole = await read_log(work, job_id, limit=2)
        older = await read_log(work, job_id, limit=2, before=whole.older)
        assert older.lines[0].id < whole.lines[-1].id
        assert [line.id for line in await list_needing(work, customer.id, since=job.created_at)] == [job_id]
