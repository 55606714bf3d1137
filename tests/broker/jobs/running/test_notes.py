"""What a customer says of its job: another name, notes, a pin; found by them, listed by them, nobody else's."""

from typing import Any

from broker.jobs.reading.job_list import JobOrder, JobSearch, list_jobs
from broker.jobs.running import notes
from broker.system import System
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer, staff_key, submit_job


async def patch(api: Api, path: str, body: dict[str, object], *, expect: int) -> Any:
    return (await api.call("PATCH", path, json=body, expect=expect)).json()


async def list_ids(api: Api, **wanted: str) -> list[str]:
    return [job["id"] for job in (await api.get("/jobs", **wanted))["data"]]


async def test_a_job_is_renamed_noted_and_pinned_at_any_time(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        job = await submit_job(own, customer.dataset["id"], name="one")
        path = f"/jobs/{job['id']}"
        await own.post(f"{path}/cancel")
        changed = await patch(own, path, {"name": "tone 2", "notes": "rank 16\nis enough", "pinned": True}, expect=200)
        assert (changed["name"], changed["status"]) == ("tone 2", "cancelled")
        shown = await own.get(path)
        assert (shown["notes"], shown["pinned_at"] is not None) == ("rank 16\nis enough", True)
        again = await patch(own, path, {"pinned": True, "name": "tone 2"}, expect=200)
        assert again["id"] == job["id"]
        events = [each["data"] for each in (await own.get(f"{path}/events"))["data"] if each["kind"] == "annotated"]
        assert events == [{"before": "one", "name": "tone 2", "notes": "changed", "pinned": True}]
        await patch(own, path, {"notes": None, "pinned": None, "name": None}, expect=200)
        told = len((await own.get(f"{path}/events"))["data"])
        assert [(await own.get(path))[each] for each in ("name", "notes", "pinned_at")] == [None, None, None]
        await patch(own, path, {"pinned_steps": [480, 120, 480]}, expect=200)
        assert (await own.get(path))["pinned_steps"] == [120, 480]
        assert len((await own.get(f"{path}/events"))["data"]) == told, "a sample that is pinned is no event"
        await patch(own, path, {"pinned_steps": [0]}, expect=422)
        await patch(own, path, {"pinned_steps": None}, expect=200)
        assert (await own.get(path))["pinned_steps"] == []


async def test_what_is_noted_is_found_by_its_customer_alone(api: Api) -> None:
    customer, other = await make_ready_customer(api), await make_customer(api)
    async with customer_api(api, customer.id) as own, customer_api(api, other["id"]) as stranger:
        ids = [(await submit_job(own, customer.dataset["id"], name=f"job {number}"))["id"] for number in range(3)]
        await patch(own, f"/jobs/{ids[0]}", {"notes": "Best so far, 50% off", "pinned": True}, expect=200)
        assert await list_ids(own, search="best SO") == [ids[0]]
        assert await list_ids(own, search="0% o") == [ids[0]]
        assert await list_ids(own, search="job 1") == [ids[1]]
        assert await list_ids(own, pinned="true") == [ids[0]]
        assert await list_ids(own, pinned="false") == [ids[2], ids[1]]
        assert await list_ids(stranger, search="best") == []
        await patch(stranger, f"/jobs/{ids[0]}", {"notes": "mine"}, expect=404)
        async with Api.connect(api.app, await staff_key(api, "ops")) as ops:
            await patch(ops, f"/jobs/{ids[0]}", {"name": "theirs"}, expect=403)


async def test_pinned_jobs_come_first_page_by_page(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        ids = [(await submit_job(own, customer.dataset["id"]))["id"] for _ in range(5)]
        for pinned in (ids[0], ids[2]):
            await patch(own, f"/jobs/{pinned}", {"pinned": True}, expect=200)
        await own.post(f"/jobs/{ids[2]}/cancel")
    wanted = [ids[2], ids[0], ids[4], ids[3], ids[1]]
    async with system.work() as work:
        pages = [
            await list_jobs(work, customer.id, JobSearch(order=JobOrder.PINNED, page=page, page_size=2))
            for page in (1, 2, 3)
        ]
    assert [line.id for page in pages for line in page.lines] == wanted
    assert [line.is_pinned for page in pages for line in page.lines] == [True, True, False, False, False]


async def test_so_many_are_pinned_and_no_more(api: Api, monkeypatch) -> None:
    monkeypatch.setattr(notes, "MOST_PINNED", 1)
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        first, second = [(await submit_job(own, customer.dataset["id"]))["id"] for _ in range(2)]
        await patch(own, f"/jobs/{first}", {"pinned": True}, expect=200)
        refused = await patch(own, f"/jobs/{second}", {"pinned": True, "name": "x"}, expect=409)
        assert "unpin one first" in refused["detail"]
        assert (await own.get(f"/jobs/{second}"))["name"] is None


async def test_a_name_is_one_line_and_a_change_names_something(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        path = f"/jobs/{(await submit_job(own, customer.dataset['id']))['id']}"
        for bad in ({"name": "two\nlines"}, {"name": "x" * 201}, {"notes": "x" * 4001}, {}, {"pinned": "maybe"}):
            await patch(own, path, bad, expect=422)


async def test_the_page_keeps_what_is_noted_and_says_what_is_wrong(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        job_id = (await submit_job(own, customer.dataset["id"]))["id"]
    path = f"/console/jobs/{job_id}"
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(path)
        fields = {"name": "tone 3", "notes": "<b>best</b>"}
        await person.send(f"{path}/notes", fields, of=shown, form="#notes-form")
        shown = await person.open(path)
        assert shown.find("p.notes") == "<b>best</b>"
        await person.send(f"{path}/notes", {"pinned": "1"}, of=shown, form=f"form.inline[action='{path}/notes']")
        listed = await person.open("/console/jobs", order="pinned", search="BEST")
        assert "tone 3 ★" in listed.find("table.rows tbody")
        wrong = await person.send(
            f"{path}/notes", {"name": "x" * 300, "notes": ""}, of=shown, form="#notes-form", expect=422
        )
        assert wrong.attributes("#f-name", "aria-invalid") == ["true"]
