"""Labels of jobs: given at submission, found by, and carried by all that the job uses; they decide no price."""

import json

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.metering.sources import open_meter
from tests.broker.running_jobs import broken_rules, report_usage, start_job

TEA, COFFEE = {"team": "tea", "env": "test"}, {"team": "coffee"}


async def test_job_has_its_labels_and_is_found_by_them(api: Api) -> None:
    customer = await make_ready_customer(api)
    place = {"customer_id": customer.id}
    tea, coffee, none = [
        await submit_job(api, customer.dataset["id"], **place, **more)
        for more in ({"labels": TEA}, {"labels": COFFEE}, {})
    ]
    assert (tea["labels"], coffee["labels"], none["labels"]) == (TEA, COFFEE, {})
    assert (tea["config"], tea["limit"]) == (none["config"], none["limit"])
    assert (await api.get(f"/jobs/{tea['id']}"))["labels"] == TEA
    found = await api.get("/jobs", label="team=tea")
    assert [job["id"] for job in found["data"]] == [tea["id"]]
    assert (await api.get("/jobs", label="team=te"))["data"] == []
    for label in ("team", "Team=tea", "team=\x00"):
        problem = await api.get("/jobs", expect=422, label=label)
        assert problem["errors"][0]["field"] == "label"


async def test_wrong_label_is_told_by_its_name_and_nothing_is_kept(api: Api) -> None:
    customer = await make_ready_customer(api)
    body = {"config": {}, "dataset_id": customer.dataset["id"], "customer_id": customer.id}
    problem = await api.post("/jobs", {**body, "labels": {"team": "tea", "Wrong name": "x"}}, expect=422)
    assert [fault["field"] for fault in problem["errors"]] == ["labels.Wrong name"]
    problem = await api.post("/jobs", {**body, "labels": {"team": "a\x00b"}}, expect=422)
    assert [fault["field"] for fault in problem["errors"]] == ["labels.team"]
    assert (await api.get("/jobs"))["data"] == []


async def test_labels_of_a_job_are_those_of_all_its_usage(api: Api, system: System, clock: ManualClock) -> None:
    async with open_meter(api) as meter:
        tea = await start_job(system, meter.customer, labels=TEA)
        await report_usage(system, tea, gpu_seconds=60, tokens=5)
        await report_usage(system, await start_job(system, meter.customer), gpu_seconds=30, tokens=1)
        await meter.send(
            meter.event("1", subject=tea.id, quantity=100),
            meter.event("2", subject=tea.id, quantity=7, labels={"env": "live"}),
        )
        clock.advance(hours=2)

        async def add_up(*groups: str, **chosen: str) -> list[tuple[object, ...]]:
            page = await api.get("/usage", group_by=list(groups), **chosen)
            return [(*each["group"].values(), each["gpu_seconds"], each["tokens"]) for each in page["data"]]

        assert await add_up("label:team") == [(None, 30, 1), ("tea", 60, 112)]
        assert await add_up("label:env", label="team=tea") == [("live", 0, 7), ("test", 60, 105)]
        window = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
        lines = (await api.call("GET", "/usage-events/export", params=window)).text.splitlines()
        labels = {(each["run_id"][:3], each["tokens"]): each["labels"] for each in map(json.loads, lines)}
        assert labels[("run", 5)] == labels[("str", 100)] == TEA
        assert labels[("str", 7)] == {"team": "tea", "env": "live"}
    assert await broken_rules(system) == {}


async def test_labels_as_long_as_they_may_be_have_room_in_the_sums(api: Api, system: System) -> None:
    """An index that had the labels themselves refused such an event: it has no room for so much."""
    characters = [chr(0x4E00 + at * 7919 % 20000) for at in range(1600)]
    labels = {f"l{place}": "".join(characters[place::16]) for place in range(16)}
    async with open_meter(api) as meter:
        assert await meter.verdicts(meter.event("1", labels=labels)) == ["accepted"]
        assert await meter.verdicts(meter.event("2", labels=labels)) == ["accepted"]
        groups = [f"label:l{place}" for place in range(8)]
        await meter.send(meter.event("3", labels={name: value[::-1] for name, value in labels.items()}))
        first = await api.get("/usage", group_by=groups, limit=1)
        second = await api.get("/usage", group_by=groups, limit=1, cursor=first["next_cursor"])
        assert sorted(each["events"] for each in (*first["data"], *second["data"])) == [1, 2]
    assert await broken_rules(system) == {}
