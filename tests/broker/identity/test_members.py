"""Members of projects: a key that is confined to projects sees and does nothing in others."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import CONFIG, Api, Customer, customer_api, dispatch, make_ready_customer, submit_job
from tests.broker.tenants import finish_job

# What somebody who was removed gets: looking at, deleting, sending a data set, quoting one.
NOTHING = (404, 403, 403, 403)


@dataclass
class Setting:
    """A customer with two projects, each with a job; and a key that may become a member."""

    customer: Customer
    own: Api
    confined: Any
    mine: str
    other: str
    my_job: str
    other_job: str


@pytest.fixture
async def setting(api: Api) -> AsyncIterator[Setting]:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        mine, other = [(await own.post("/projects", {"name": name}, expect=201))["id"] for name in ("mine", "other")]
        jobs = [(await submit_job(own, customer.dataset["id"], project_id=each))["id"] for each in (mine, other)]
        body = {"name": "intern", "confined_to_projects": True}
        confined = await own.post(f"/customers/{customer.id}/api-keys", body, expect=201)
        yield Setting(customer, own, confined, mine, other, *jobs)


async def set_role(setting: Setting, role: str) -> None:
    path = f"/projects/{setting.mine}/members/{setting.confined['id']}"
    await setting.own.call("PUT", path, expect=200, json={"role": role})


async def test_a_member_trains_in_its_project_and_in_no_other(api: Api, setting: Setting) -> None:
    dataset = setting.customer.dataset["id"]
    assert (setting.confined["is_confined"], setting.confined["scopes"]) == (True, ["training:write"])
    async with Api.connect(api.app, setting.confined["key"]) as intern:
        assert (await intern.get("/jobs"))["data"] == []
        await submit_job(intern, dataset, project_id=setting.mine, expect=403)
        await set_role(setting, "member")
        assert [job["id"] for job in (await intern.get("/jobs"))["data"]] == [setting.my_job]
        made = await submit_job(intern, dataset, project_id=setting.mine)
        assert made["project_id"] == setting.mine
        for project in (setting.other, None):
            told = {} if project is None else {"project_id": project}
            assert setting.mine in (await submit_job(intern, dataset, expect=403, **told))["detail"]
        await intern.post(f"/jobs/{made['id']}/cancel")
        await intern.post(f"/jobs/{setting.other_job}/cancel", expect=404)
        await intern.get("/contracts", expect=403)
        await intern.post("/projects", {"name": "x"}, expect=403)


async def test_a_viewer_looks_and_does_nothing(api: Api, setting: Setting) -> None:
    await set_role(setting, "viewer")
    async with Api.connect(api.app, setting.confined["key"]) as intern:
        await intern.get(f"/jobs/{setting.my_job}")
        await intern.post(f"/jobs/{setting.my_job}/cancel", expect=404)
        await submit_job(intern, setting.customer.dataset["id"], project_id=setting.mine, expect=403)
        path = f"/projects/{setting.mine}/members/{setting.confined['id']}"
        await setting.own.call("DELETE", path, expect=204)
        await intern.get(f"/jobs/{setting.my_job}", expect=404)
        await setting.own.call("DELETE", path, expect=404)


async def test_nothing_of_another_projects_job_is_seen_on_any_route(
    api: Api, system: System, setting: Setting, routed_app: FastAPI
) -> None:
    await dispatch(system, gpus=8)
    for job in (setting.my_job, setting.other_job):
        await finish_job(api, system, job)
    adapters = {each["job_id"]: each["id"] for each in (await api.get("/adapters"))["data"]}
    await set_role(setting, "member")
    seen = []
    async with Api.connect(api.app, setting.confined["key"]) as intern:
        assert [each["id"] for each in (await intern.get("/adapters"))["data"]] == [adapters[setting.my_job]]
        for path, item in routed_app.openapi()["paths"].items():
            for name, foreign in (("job_id", setting.other_job), ("adapter_id", adapters[setting.other_job])):
                if "get" in item and f"{{{name}}}" in path:
                    address = path.removeprefix("/v1").replace(f"{{{name}}}", foreign)
                    answer = await intern.call("GET", address)
                    if answer.status_code not in {403, 404}:
                        seen.append((path, answer.status_code))
    assert seen == []


async def test_only_a_confined_key_of_the_same_customer_becomes_a_member(api: Api, setting: Setting) -> None:
    whole = (await setting.own.get("/whoami"))["api_key"]["id"]
    path = f"/projects/{setting.mine}/members"
    await setting.own.call("PUT", f"{path}/{whole}", expect=422, json={"role": "member"})
    stranger = await make_ready_customer(api)
    foreign = await api.post(
        f"/customers/{stranger.id}/api-keys", {"name": "x", "confined_to_projects": True}, expect=201
    )
    await api.call("PUT", f"{path}/{foreign['id']}", expect=404, json={"role": "member"})
    odd = {"name": "x", "confined_to_projects": True, "scopes": ["billing:read"]}
    await api.post(f"/customers/{stranger.id}/api-keys", odd, expect=422)


async def test_members_are_listed_and_a_rotated_key_stays_one(api: Api, setting: Setting) -> None:
    await set_role(setting, "member")
    new = await setting.own.post(f"/api-keys/{setting.confined['id']}/rotate", {}, expect=201)
    listed = (await setting.own.get(f"/projects/{setting.mine}/members"))["data"]
    assert {(each["api_key_id"], each["role"], each["name"]) for each in listed} == {
        (setting.confined["id"], "member", "intern"),
        (new["id"], "member", "intern"),
    }
    async with Api.connect(api.app, new["key"]) as intern:
        await intern.get(f"/jobs/{setting.my_job}")


async def test_data_sets_of_all_projects_are_deleted_by_no_member_and_seen_by_none_that_was_removed(
    api: Api, setting: Setting
) -> None:
    """A past fault: whoever was confined deleted them, a viewer too, and read them once it was in no project."""
    dataset = setting.customer.dataset["id"]
    files, asked = [("files", ("train.jsonl", b'{"prompt": "a", "completion": "b"}\n'))], {"dataset_id": dataset}
    quote = {**asked, "config": CONFIG}
    async with Api.connect(api.app, setting.confined["key"]) as intern:
        for role, statuses in (("member", (200, 403, 201, 201)), ("viewer", (200, 403, 403, 403)), (None, NOTHING)):
            if role is None:
                path = f"/projects/{setting.mine}/members/{setting.confined['id']}"
                await setting.own.call("DELETE", path, expect=204)
            else:
                await set_role(setting, role)
            looked = await intern.call("GET", f"/datasets/{dataset}")
            deleted = await intern.call("DELETE", f"/datasets/{dataset}")
            sent = await intern.call("POST", "/datasets", files=files)
            quoted = await intern.call("POST", "/quotes", json=quote)
            found = tuple(each.status_code for each in (looked, deleted, sent, quoted))
            assert found == statuses, role
        assert (await intern.get("/datasets"))["data"] == []
    await setting.own.get(f"/datasets/{dataset}")


async def test_two_who_make_a_key_a_member_at_once_both_have_it(setting: Setting) -> None:
    """A past fault: the second one was told of an error of ours."""
    await asyncio.gather(*(set_role(setting, "member") for _ in range(8)))
    await set_role(setting, "viewer")
    listed = (await setting.own.get(f"/projects/{setting.mine}/members"))["data"]
    assert [(each["api_key_id"], each["role"]) for each in listed] == [(setting.confined["id"], "viewer")]
