"""A run's log: told beside heartbeats, kept once and without secrets, read by its customer, forgotten after a while."""

from typing import Any

from fastapi import FastAPI
from sqlalchemy import func, select

from broker.jobs.running.log_lines import forget_logs
from broker.jobs.tables import LoggedLine
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker


def tell(clock: ManualClock, first: int, *texts: str) -> list[dict[str, Any]]:
    return [{"number": first + each, "at": clock.now.isoformat(), "text": text} for each, text in enumerate(texts)]


async def test_lines_are_kept_once_found_and_paged_and_secrets_never(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    customer, other = await make_ready_customer(api), await make_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    path = f"/jobs/{job_id}/logs"
    async with dispatched_worker(api, app, system, job_id) as worker, customer_api(api, customer.id) as own:
        assert (await worker.claim())["next_log_number"] == 0
        assert (await own.get(path))["data"] == []
        first = tell(clock, 0, "training from step 0", "token: abcdef", "step 10 loss 2.31")
        assert await worker.post("logs", lines=first) == {"next_number": 3, "left_out": 0}
        assert await worker.post("logs", lines=first) == {"next_number": 3, "left_out": 0}
        clock.advance(seconds=60)
        later = clock.now
        assert await worker.post("logs", lines=tell(clock, 5, "step 20 loss 2.11")) == {
            "next_number": 6,
            "left_out": 2,
        }
        assert (await worker.claim())["next_log_number"] == 6
        log = await own.get(path)
        assert [line["text"] for line in log["data"]] == [
            "training from step 0",
            "token: [redacted]",
            "step 10 loss 2.31",
            "step 20 loss 2.11",
        ]
        assert (log["kept"], log["left_out"], log["next_cursor"]) == (4, 2, None)
        page = await own.get(path, limit=2)
        rest = await own.get(path, limit=2, cursor=page["next_cursor"])
        assert [line["number"] for line in (*page["data"], *rest["data"])] == [0, 1, 2, 5]
        assert (await own.get(path, cursor=log["data"][-1]["id"]))["data"] == []
        assert [line["number"] for line in (await own.get(path, search="LOSS 2.1"))["data"]] == [5]
        assert [line["number"] for line in (await own.get(path, since=later.isoformat()))["data"]] == [5]
        await own.get(path, cursor="job_01k", expect=422)
        await worker.post("logs", lines=[], expect=422)
        await worker.post("logs", lines=tell(clock, 6, "x" * 2001), expect=422)
        async with customer_api(api, other["id"]) as stranger:
            await stranger.get(path, expect=404)
        stale = await worker.api.post(
            f"/runs/{worker.run_id}/logs", {"fence_token": 9, "lines": tell(clock, 6, "x")}, expect=409
        )
        assert stale["type"].endswith("stale-fence-token")
        async with sign_in_customer(api, customer.id) as person:
            shown = await person.open(f"/console/jobs/{job_id}", tab="lines")
            assert shown.words_of("ol.log li code")[-1] == "step 20 loss 2.11"
            assert "2 were left out" in shown.find("#training-log")
            found = await person.open(f"/console/jobs/{job_id}", tab="lines", words="from step", part="lines")
            assert len(found.words_of("ol.log li")) == 1
        await worker.finish("preempted")
        await worker.post("logs", lines=tell(clock, 6, "too late"), expect=409)


async def test_a_log_is_forgotten_a_while_after_its_last_line(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("logs", lines=tell(clock, 0, "one", "two"))
    async with system.work() as work:
        assert await forget_logs(work, before=clock.now, limit=10) == 0
        clock.advance(seconds=1)
        assert await forget_logs(work, before=clock.now, limit=10) == 1
        assert await work.session.scalar(select(func.count()).select_from(LoggedLine)) == 0
