"""Customers are told what they should know: in a list, on the pages of their jobs, by an event of those that run."""

from datetime import timedelta
from typing import Any

import pytest

from broker.capacity.announcements import list_maintenance
from broker.capacity.model import Maintenance
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, customer_api, make_ready_customer, submit_job
from tests.broker.pools import register_pool

SOON, LATER = START + timedelta(hours=1), START + timedelta(hours=2)


def test_maintenance_names_no_machine_and_is_told_until_it_is_over() -> None:
    whole, part = Maintenance(SOON, LATER), Maintenance(SOON, LATER, ("gpu-7",))
    told = list_maintenance("lab", [whole, part], START)
    assert [notice.message.split(" is worked")[0] for notice in told] == ["Pool lab", "A part of pool lab"]
    assert len({notice.id for notice in told}) == 2
    assert "gpu-7" not in str(told)
    assert list_maintenance("lab", [whole], LATER) == []


async def list_events(api: Api, job_id: str) -> dict[str, Any]:
    return {event["kind"]: event["data"] for event in (await api.get(f"/jobs/{job_id}/events"))["data"]}


async def test_job_is_told_of_its_own_pool_and_the_list_tells_all(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
        await register_pool(work, name="other", total_gpus=1, sku="rtx-4090")
    here, waits = [
        (await submit_job(api, customer.dataset["id"], customer_id=customer.id, gpu_types=["cpu"]))["id"]
        for _each in range(2)
    ]
    async with system.work() as work:
        await run_cycle(work)
    window = {"begins_at": SOON.isoformat(), "ends_at": LATER.isoformat(), "nodes": ["test"]}
    await api.call("PATCH", "/pools/test", json={"maintenance": [window]}, expect=200)
    await api.call("PATCH", "/pools/other", json={"maintenance": [{**window, "nodes": ["other"]}]}, expect=200)
    said = await api.post("/announcements", {"message": "New prices", "message_zh": "新价格"}, expect=201)
    of_pool = await api.post("/announcements", {"message": "New driver", "pool": "test"}, expect=201)

    async with customer_api(api, customer.id) as own:
        listed = (await own.get("/announcements"))["data"]
        assert [notice["pool"] for notice in listed] == [None, "test", "other", "test"]
        running, waiting = [await own.get(f"/jobs/{job_id}") for job_id in (here, waits)]
        assert [notice["id"] for notice in waiting["notices"]] == [said["id"]]
        assert [(notice["kind"], notice["pool"]) for notice in running["notices"]] == [
            ("announcement", None),
            ("announcement", "test"),
            ("maintenance", "test"),
        ]
        events = await list_events(own, here)
        assert events["maintenance_announced"]["begins_at"] == SOON.isoformat()
        assert events["announced"]["message"] == "New driver"
        assert not {"announced", "maintenance_announced"} & (await list_events(own, waits)).keys()

    ended = (await api.call("DELETE", f"/announcements/{of_pool['id']}", expect=200)).json()
    assert ended["ends_at"] == "2026-11-10T04:00:00Z"
    clock.now = LATER
    assert [notice["id"] for notice in (await api.get("/announcements"))["data"]] == [said["id"]]


@pytest.mark.parametrize(
    ("body", "expect"),
    [
        ({"message": " "}, 422),
        ({"message": "x\u0000"}, 422),
        ({"message": "x", "ends_at": "2026-11-10T03:00:00Z"}, 422),
        ({"message": "x", "begins_at": "2026-11-12T03:00:00Z", "ends_at": "2026-11-11T03:00:00Z"}, 422),
        ({"message": "x", "pool": "nowhere"}, 404),
    ],
)
async def test_announcement_that_cannot_be_is_refused(api: Api, body: dict[str, Any], expect: int) -> None:
    await api.post("/announcements", body, expect=expect)
    assert (await api.get("/announcements"))["data"] == []


async def test_end_of_what_there_is_not_is_refused(api: Api) -> None:
    await api.call("DELETE", "/announcements/ann_nobody", expect=404)
