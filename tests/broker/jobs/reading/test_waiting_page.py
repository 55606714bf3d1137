"""The line in pages: in the planner's order, narrowed and counted by the database."""

from typing import Any

import pytest
from sqlalchemy import text, update

from broker.jobs.reading.waiting_page import LineFilter, list_ahead, read_line_page
from broker.jobs.reading.waiting_sums import add_up_waiting
from broker.jobs.service import get_job
from broker.jobs.tables import Job
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.factories import Api, customer_api, make_ready_customer, submit_job
from tests.broker.pools import register_pool


async def test_a_page_of_the_line_is_in_the_planners_order_and_counts_all_that_it_is_narrowed_to(
    api: Api, system: System, clock: Any
) -> None:
    acme, beta = await make_ready_customer(api), await make_ready_customer(api, plan="prepaid")
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    jobs = []
    for customer in (acme, acme, acme, beta):
        clock.advance(seconds=1)
        jobs.append((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])
    async with system.work() as work:
        await run_cycle(work)
        late = (await submit_job(api, acme.dataset["id"], customer_id=acme.id))["id"]
    async with system.work() as work:
        page = await read_line_page(work, LineFilter(), limit=2)
        rest = await read_line_page(work, LineFilter(), limit=9, offset=2)
        standard = await read_line_page(work, LineFilter(queue="standard", customer_id=acme.id), limit=9)
        behind = await read_line_page(work, LineFilter(reason="behind_earlier_jobs"), limit=9)
        sums = await add_up_waiting(work)
        ahead = await list_ahead(work, await get_job(work, jobs[2]), limit=5)
        of_late = await list_ahead(work, await get_job(work, late), limit=2)
    assert page.total == rest.total == 4
    order = [row.id for row in (*page.rows, *rest.rows)]
    assert (order, [row.position for row in (*page.rows, *rest.rows)]) == ([*jobs[:3], late], [1, 2, 3, None])
    assert [row.id for row in standard.rows] == order
    assert {row.reason["code"] for row in behind.rows if row.reason} <= {"behind_earlier_jobs"}
    assert sum(each.left_gpu_seconds for each in sums) == sum(row.left_gpu_seconds for row in (*page.rows, *rest.rows))
    assert [row.id for row in ahead] == jobs[:2]
    assert [row.id for row in of_late] == jobs[1:3], "who was told no place yet is behind all that were"


async def test_jobs_ahead_of_a_place_are_the_nearest_however_far_behind_it_is(api: Api, system: System) -> None:
    acme = await make_ready_customer(api)
    jobs = [(await submit_job(api, acme.dataset["id"], customer_id=acme.id))["id"] for _place in range(4)]
    async with system.work() as work:
        for job_id, place in zip(jobs, (7, 60_000, 60_001, 60_010), strict=True):
            reason = {"code": "waiting_for_gpus", "position": place}
            await work.session.execute(update(Job).where(Job.id == job_id).values(pending_reason=reason))
    async with system.work() as work:
        found = [await list_ahead(work, await get_job(work, job_id), limit=2) for job_id in jobs]
    assert [[row.id for row in ahead] for ahead in found] == [[], jobs[:1], jobs[:2], jobs[1:3]]


async def test_rest_tells_who_is_ahead_of_a_job_to_its_customer_of_its_own(api: Api, system: System) -> None:
    acme, beta = await make_ready_customer(api), await make_ready_customer(api)
    jobs = [(await submit_job(api, one.dataset["id"], customer_id=one.id))["id"] for one in (acme, beta, acme)]
    async with system.work() as work:
        await run_cycle(work)
    for_ops = await api.get(f"/jobs/{jobs[2]}/ahead")
    nearest = await api.get(f"/jobs/{jobs[2]}/ahead", limit=1)
    why, whole = await api.get(f"/jobs/{jobs[2]}/why"), await api.get(f"/jobs/{jobs[2]}")
    async with customer_api(api, beta.id) as own_api:
        own = await own_api.get(f"/jobs/{jobs[1]}/ahead")
    assert (for_ops["ahead"], [each["id"] for each in for_ops["data"]]) == (2, jobs[:2])
    assert [each["position"] for each in nearest["data"]] == [2]
    assert (own["ahead"], own["data"]) == (1, [])
    assert why.pop("ahead") == for_ops
    assert why.pop("object") == "job_why"
    assert why == {name: whole[name] for name in why}, "it says of the job what the job itself does"


@pytest.mark.parametrize(
    ("condition", "compared"),
    [("pending_code = 'queue_closed'", "pending_code = "), ("pending_place < 60000", "pending_place < ")],
)
async def test_row_level_security_lets_the_line_be_narrowed_by_its_index(
    system: System, condition: str, compared: str
) -> None:
    """Past fault: what stood in JSON was looked at row by row, 100,000 of them for the few of a rare reason."""
    query = f"EXPLAIN SELECT id FROM jobs WHERE status = 'queued' AND {condition} ORDER BY pending_place LIMIT 9"
    async with system.work() as work:
        for other in ("seqscan", "bitmapscan"):
            await work.session.execute(text(f"SET LOCAL enable_{other} TO off"))
        plan = "\n".join((await work.session.scalars(text(query))).all())
    assert "ix_jobs_waiting_place" in plan
    (narrowed,) = [line for line in plan.splitlines() if "Index Cond" in line]
    assert compared in narrowed
