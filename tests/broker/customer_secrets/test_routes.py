"""Secrets over REST: kept sealed, shown never, named by jobs, given to their runs alone."""

from typing import Any

import psycopg
import pytest
from fastapi import FastAPI

from broker.customer_secrets.service import reseal_customer_secrets
from broker.exits.deleting import delete_all
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import (
    Api,
    customer_api,
    dispatch,
    make_customer,
    make_ready_customer,
    submit_job,
    worker_api,
)

KEY = "a-key-that-nobody-sees"
WANDB = {"name": "wandb-team", "kind": "wandb", "key": KEY}


async def claim(app: FastAPI, system: System, job_id: str, api: Api) -> dict[str, Any]:
    """Start a job's run and claim it; the tracker of its assignment."""
    await dispatch(system, gpus=8)
    run = (await api.get(f"/jobs/{job_id}/runs"))["data"][0]["id"]
    async with worker_api(app, system, run) as worker:
        tracker: dict[str, Any] = (await worker.post(f"/runs/{run}/claim", {"fence_token": 1}))["tracker"]
    return tracker


async def test_a_secret_is_kept_listed_rotated_and_removed_without_its_key(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    async with customer_api(api, customer) as own:
        made = await own.post("/secrets", WANDB, expect=201, key="once")
        assert await own.post("/secrets", WANDB, expect=201, key="once") == made
        assert (await own.post("/secrets", WANDB, expect=409))["errors"][0]["field"] == "name"
        assert (await own.get("/secrets", name="wandb-team"))["data"] == [made]
        path = f"/secrets/{made['id']}"
        rotated = (await own.call("PATCH", path, json={"key": "another-key"}, expect=200)).json()
        assert (made["rotated_at"], rotated["name"]) == (None, "wandb-team")
        assert rotated["rotated_at"] is not None
        assert await own.get(path) == rotated
        await own.call("DELETE", path, expect=200)
        assert (await own.get("/secrets"))["data"] == []
    assert not {"key", "sealed_key"} & made.keys()


@pytest.mark.parametrize(
    ("told", "field", "message"),
    [
        ({"kind": "mlflow"}, "url", "is needed for mlflow"),
        ({"kind": "mlflow", "url": "https://10.0.0.7"}, "url", "no public address"),
        ({"kind": "mlflow", "url": "http://mlflow.example.com"}, "url", "must begin with https://"),
        ({"kind": "mlflow", "url": "https://mlflow.example.com/?a=b"}, "url", "must have no query"),
        ({"username": "ann"}, "username", "goes with mlflow alone"),
        ({"key": "short"}, "key", "at least 8 characters"),
        ({"key": "two words of a key"}, "key", "match pattern"),
        ({"kind": "comet"}, "kind", "mlflow"),
        ({"name": "a b"}, "name", "match pattern"),
    ],
)
async def test_what_cannot_be_a_secret_is_refused_by_its_field(
    api: Api, told: dict[str, str], field: str, message: str
) -> None:
    customer = (await make_customer(api))["id"]
    problem = await api.post("/secrets", {**WANDB, **told, "customer_id": customer}, expect=422)
    (error,) = problem["errors"]
    assert error["field"] == field
    assert message in error["message"]
    assert told.get("key", KEY) not in str(problem)


async def test_a_key_is_not_sent_to_another_address_by_whoever_does_not_know_it(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    async with customer_api(api, customer) as own:
        path = f"/secrets/{(await own.post('/secrets', WANDB, expect=201))['id']}"
        elsewhere = {"url": "https://elsewhere.example.com"}
        refused = (await own.call("PATCH", path, json=elsewhere, expect=422)).json()
        assert refused["errors"][0]["field"] == "key"
        moved = (await own.call("PATCH", path, json={**elsewhere, "key": "another-key"}, expect=200)).json()
        assert moved["url"] == elsewhere["url"]
        assert (await own.call("PATCH", path, json={}, expect=422)).json()["errors"]


async def test_a_job_names_a_secret_that_its_project_may_use(api: Api) -> None:
    customer = await make_ready_customer(api)
    stranger = await make_customer(api, name="Stranger")
    await api.post("/secrets", {**WANDB, "name": "theirs", "customer_id": stranger["id"]}, expect=201)
    async with customer_api(api, customer.id) as own:
        project = (await own.post("/projects", {"name": "spring"}, expect=201))["id"]
        await own.post("/secrets", {**WANDB, "project_id": project}, expect=201)
        data, tracker = customer.dataset["id"], {"secret": "wandb-team", "project": "styles"}
        for name in ("none", "theirs"):
            problem = await submit_job(own, data, tracker={"secret": name}, expect=422)
            assert problem["errors"][0]["field"] == "tracker.secret"
            assert f"there is no secret {name}" in problem["errors"][0]["message"]
        assert "another project" in (await submit_job(own, data, tracker=tracker, expect=422))["detail"]
        label = {"kind": "auto_label"}
        assert "trainings alone" in (await submit_job(own, data, tracker=tracker, config=label, expect=422))["detail"]
        job = await submit_job(own, data, tracker=tracker, project_id=project)
        assert job["tracker"] == tracker
        assert [each["tracker"] for each in (await own.get("/jobs"))["data"]] == [tracker]
        assert (await submit_job(own, data))["tracker"] is None


async def test_a_run_is_given_the_key_of_now_and_none_of_a_secret_that_is_gone(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        secret = (await own.post("/secrets", WANDB, expect=201))["id"]
        first, second, third = [
            (await submit_job(own, customer.dataset["id"], tracker={"secret": "wandb-team"}))["id"]
            for _each in range(3)
        ]
        given = await claim(app, system, first, own)
        assert {name: given[name] for name in ("secret", "kind", "key", "url")} == {
            "secret": "wandb-team",
            "kind": "wandb",
            "key": KEY,
            "url": None,
        }
        await own.call("PATCH", f"/secrets/{secret}", json={"key": "another-key"}, expect=200)
        assert (await claim(app, system, second, own))["key"] == "another-key"
        await own.call("DELETE", f"/secrets/{secret}", expect=200)
        gone = await claim(app, system, third, own)
        assert (gone["secret"], gone["kind"], gone["key"]) == ("wandb-team", None, None)


async def test_no_line_of_a_run_keeps_a_key_that_it_may_have_been_given(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """The trainer strikes its key out itself; a program that it starts may not, and the key may be another by now."""
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        secret = (await own.post("/secrets", WANDB, expect=201))["id"]
        job = (await submit_job(own, customer.dataset["id"], tracker={"secret": "wandb-team"}))["id"]
        await claim(app, system, job, own)
        await own.call("PATCH", f"/secrets/{secret}", json={"key": "another+key/8"}, expect=200)
        run = (await own.get(f"/jobs/{job}/runs"))["data"][0]["id"]
        told = [f"using {KEY}", "GET /login?k=another%2Bkey%2F8", "loss 2.5"]
        lines = [{"number": at, "at": clock.now.isoformat(), "text": text} for at, text in enumerate(told)]
        async with worker_api(app, system, run) as worker:
            await worker.post(f"/runs/{run}/logs", {"fence_token": 1, "lines": lines})
        kept = [each["text"] for each in (await own.get(f"/jobs/{job}/logs"))["data"]]
    assert kept == ["using [redacted]", "GET /login?k=[redacted]", "loss 2.5"]


async def test_nothing_tells_a_key(api: Api, app: FastAPI, system: System, urls: DatabaseUrls, caplog: Any) -> None:
    """Neither the database, nor the record of what staff did, nor any answer but the claim's, nor a line of the log."""
    caplog.set_level("DEBUG")
    customer = await make_ready_customer(api)
    told = {**WANDB, "name": "mlflow", "kind": "mlflow", "url": "https://mlflow.example.com", "username": "ann"}
    secret = (await api.post("/secrets", {**told, "customer_id": customer.id}, expect=201, key="once"))["id"]
    await api.call("PATCH", f"/secrets/{secret}", json={"key": KEY}, expect=200)
    async with customer_api(api, customer.id) as own:
        job = (await submit_job(own, customer.dataset["id"], tracker={"secret": "mlflow"}))["id"]
        assert (await claim(app, system, job, own))["key"] == KEY
        run = (await own.get(f"/jobs/{job}/runs"))["data"][0]["id"]
        paths = ["/secrets", "/jobs", f"/jobs/{job}", f"/jobs/{job}/events", f"/jobs/{job}/runs", f"/jobs/{job}/logs"]
        for path in (*paths, f"/customers/{customer.id}/export"):
            answer = await own.call("GET", path, expect=200)
            assert KEY.encode() not in answer.content, path
    entries = (await api.get("/audit", action="create_secret"))["data"]
    assert [each["sent"]["key"] for each in entries] == ["****"]
    assert KEY not in str(await api.get("/audit"))
    metrics = await api.http.get("http://localhost/metrics")
    assert KEY not in metrics.text
    assert KEY not in caplog.text
    assert urls.owner is not None
    with psycopg.connect(urls.owner) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT t::text FROM "{table}" t WHERE t::text LIKE %s', [f"%{KEY}%"]).fetchall()
            assert rows == [], table
    assert run


async def test_secrets_are_sealed_anew_by_the_next_secret_and_forgotten_when_a_customer_leaves(
    api: Api, system: System
) -> None:
    customer = await make_customer(api)
    secret = await api.post("/secrets", {**WANDB, "customer_id": customer["id"]}, expect=201)
    async with system.work() as work:
        assert await reseal_customer_secrets(work, b"a former one") == []
    async with system.work() as work:
        await delete_all(work, customer["id"], confirm=customer["name"])
    await api.call("GET", f"/secrets/{secret['id']}", expect=404)
