"""What bad input gets: a problem that names the field and the cure, and nothing written."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2 as httpx
import pytest

from broker.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import (
    CONFIG,
    Api,
    Customer,
    customer_api,
    dispatch,
    jsonl,
    make_ready_customer,
    submit_job,
    usage_event,
    worker_api,
)
from tests.broker.rows import read_everything

UNSTORABLE = {
    "nul": "a\\u0000b",
    "half a surrogate pair": "a\\ud800b",
}


@dataclass(frozen=True)
class World:
    """The administrator, a customer with its own key, and what that customer has."""

    api: Api
    own: Api
    customer: Customer
    clock: ManualClock


@pytest.fixture
async def world(api: Api, clock: ManualClock) -> Any:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        yield World(api, own, customer, clock)


def check_problem(response: httpx.Response, status: int, field: str | None, *words: str) -> dict[str, Any]:
    """A problem of this status whose `errors` name the field, with these words of the cure."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    if field is not None:
        named = {error["field"]: error["message"] for error in problem["errors"]}
        assert field in named, problem
        for word in words:
            assert word in named[field], named[field]
    return problem


Send = Callable[[World], Awaitable[httpx.Response]]


def quote(config: dict[str, Any]) -> Send:
    async def send(world: World) -> httpx.Response:
        body = {"config": {**CONFIG, **config}, "dataset_id": world.customer.dataset["id"]}
        return await world.own.call("POST", "/quotes", json=body)

    return send


def submit(**fields: Any) -> Send:
    async def send(world: World) -> httpx.Response:
        body = {"config": CONFIG, "dataset_id": world.customer.dataset["id"], **fields}
        return await world.own.call("POST", "/jobs", json=body)

    return send


def sign(**fields: Any) -> Send:
    async def send(world: World) -> httpx.Response:
        return await world.api.call("POST", "/contracts", json={"customer_id": world.customer.id, **fields})

    return send


def upload(filename: str, content: bytes, **form: str) -> Send:
    async def send(world: World) -> httpx.Response:
        return await world.own.call("POST", "/datasets", files={"files": (filename, content)}, data=form)

    return send


def post(path: str, content: str | bytes, *, as_admin: bool = True, content_type: str = "application/json") -> Send:
    async def send(world: World) -> httpx.Response:
        api = world.api if as_admin else world.own
        return await api.call("POST", path, content=content, headers={"Content-Type": content_type})

    return send


def get(path: str) -> Send:
    async def send(world: World) -> httpx.Response:
        return await world.own.call("GET", path)

    return send


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(name: str, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


CONFIGS = {
    "unknown key": (quote({"learnig_rate": 1e-4}), 422, "config.learnig_rate", ["did you mean learning_rate"]),
    "unknown key unlike any": (quote({"zzz": 1}), 422, "config.zzz", ["known keys", "lora_rank"]),
    "rank 0": (quote({"lora_rank": 0}), 422, "config.lora_rank", ["greater than or equal to 1"]),
    "rank too high": (quote({"lora_rank": 10**9}), 422, "config.lora_rank", ["1024"]),
    "rank as text": (quote({"lora_rank": "eight"}), 422, "config.lora_rank", ["integer"]),
    "rate that is no number": (quote({"learning_rate": "fast"}), 422, "config.learning_rate", ["number"]),
    "dropout of everything": (quote({"lora_dropout": 1}), 422, "config.lora_dropout", ["less than 1"]),
    "unknown base model": (quote({"base_model": "gpt-5"}), 422, "config.base_model", ["smollm2-135m-instruct"]),
    "path as base model": (quote({"base_model": "/etc/passwd"}), 422, "config.base_model", ["smollm2"]),
    "path of the server": (quote({"train_data_dir": "/data"}), 422, "config.train_data_dir", ["leave it out"]),
    "output on the server": (quote({"output_dir": "/tmp"}), 422, "config.output_dir", ["leave it out"]),
    "unknown target module": (quote({"target_modules": ["c_attn"]}), 422, "config.target_modules", ["q_proj"]),
    "no target module": (quote({"target_modules": []}), 422, "config.target_modules", []),
    "longer than the model reads": (quote({"max_length": 10_000}), 422, "config.max_length", ["8192"]),
    "prompt fills the length": (quote({"max_length": 8}), 422, "config.max_length", ["raise it"]),
    "base model missing": (post("/quotes", '{"config": {}, "dataset_id": "dat_1"}'), 422, "config.base_model", []),
    "config is a list": (post("/quotes", '{"config": [], "dataset_id": "dat_1"}'), 422, "config", []),
    "job with rank 0": (submit(config={**CONFIG, "lora_rank": 0}), 422, "config.lora_rank", []),
}

CONTRACTS = {
    "prepaid of 499": (sign(plan="prepaid", committed_gpu_hours=499), 422, "committed_gpu_hours", ["500"]),
    "prepaid of 0": (sign(plan="prepaid"), 422, "committed_gpu_hours", ["500"]),
    "long-term of 1999": (sign(plan="long_term", committed_gpu_hours=1999), 422, "committed_gpu_hours", ["2000"]),
    "on-demand with hours": (sign(plan="on_demand", committed_gpu_hours=1), 422, "committed_gpu_hours", []),
    "negative hours": (sign(plan="prepaid", committed_gpu_hours=-1), 422, "committed_gpu_hours", []),
    "hours beyond int64": (sign(plan="prepaid", committed_gpu_hours=2**70), 422, "committed_gpu_hours", []),
    "unknown plan": (sign(plan="gold"), 422, "plan", ["prepaid"]),
    "ends before it starts": (
        sign(plan="on_demand", starts_at="2026-12-01T00:00:00Z", ends_at="2026-11-01T00:00:00Z"),
        422,
        "ends_at",
        ["after starts_at"],
    ),
    "time without a zone": (sign(plan="on_demand", starts_at="2026-12-01T00:00:00"), 422, "starts_at", []),
    "budget of nothing": (sign(plan="on_demand", monthly_budget="0"), 422, "monthly_budget", []),
    "budget that is no number": (sign(plan="on_demand", monthly_budget="NaN"), 422, "monthly_budget", []),
    "budget of parts of a micro-yuan": (sign(plan="on_demand", monthly_budget="1.0000001"), 422, "monthly_budget", []),
    "before the first rate card": (sign(plan="on_demand", starts_at="2001-01-01T00:00:00Z"), 422, "starts_at", []),
    "in the year 1": (sign(plan="on_demand", starts_at="0001-01-01T00:00:00Z"), 422, "starts_at", []),
    "in the year 9999": (sign(plan="on_demand", starts_at="9999-12-31T23:59:59Z"), 422, "starts_at", []),
    "until past the year 9999": (sign(plan="on_demand", ends_at="9999-12-31T23:59:59-12:00"), 422, "ends_at", []),
    "unknown customer": (sign(plan="on_demand", customer_id="cus_nobody"), 404, None, []),
}

ROWS = jsonl()
UPLOADS = {
    "empty file": (upload("train.jsonl", b""), 422, "files", ["no .jsonl or .csv file with a row"]),
    "no data file": (upload("notes.txt", b"hello"), 422, "files", [".jsonl"]),
    "no usable row": (upload("train.jsonl", b'{"prompt": "a"}\n'), 422, "files.train.jsonl:1", ["completion"]),
    "empty completion": (
        upload("train.jsonl", b'{"prompt": "a", "completion": " "}'),
        422,
        "files.train.jsonl:1",
        ["nothing to learn"],
    ),
    "not UTF-8": (upload("train.jsonl", "提示".encode("gbk")), 422, "files.train.jsonl:1", ["save the file as UTF-8"]),
    "not JSON": (upload("train.jsonl", b"prompt, completion"), 422, "files.train.jsonl:1", ["not JSON"]),
    "corrupt zip": (upload("data.zip", b"PK\x03\x04" + b"\0" * 60), 422, "files", ["cannot be unpacked"]),
    "cut zip": (upload("data.zip", zipped(("train.jsonl", ROWS))[:-30]), 422, "files", ["cannot be unpacked"]),
    "corrupt tar": (upload("data.tar", b"x" * 700), 422, "files", ["cannot be unpacked"]),
    "cut tar.gz": (upload("d.tgz", gzip.compress(tarred("train.jsonl", ROWS))[:-9]), 422, "files", ["cannot be"]),
    "empty zip": (upload("data.zip", zipped()), 422, "files", [".jsonl"]),
    "zip that leaves its folder": (upload("d.zip", zipped(("../train.jsonl", ROWS))), 422, "files", ["relative names"]),
    "absolute name in a zip": (upload("d.zip", zipped(("/etc/x.jsonl", ROWS))), 422, "files", ["relative names"]),
    "backslashes that leave": (upload("d.zip", zipped(("..\\x.jsonl", ROWS))), 422, "files", ["relative names"]),
    "tar that leaves its folder": (upload("d.tar", tarred("../../x.jsonl", ROWS)), 422, "files", ["relative names"]),
    "name in no encoding": (
        upload("d.tar", tarred("x\udcff.jsonl", ROWS)),
        422,
        "files",
        ["not UTF-8", "rename"],
    ),
    "name of 300 bytes": (upload("d.tar", tarred("x" * 300 + ".jsonl", ROWS)), 422, "files", ["too long a name"]),
    "file that is a folder": (
        upload("d.zip", zipped(("a.jsonl", ROWS), ("a.jsonl/b.jsonl", ROWS))),
        422,
        "files",
        ["a file and a folder"],
    ),
    "zip bomb": (upload("d.zip", zipped(("x.jsonl", b" " * 3_000_000))), 422, "files", ["smaller data set"]),
    "many small bombs": (
        upload("d.zip", zipped(*((f"{number}.jsonl", b" " * 400_000) for number in range(9)))),
        422,
        "files",
        ["smaller data set"],
    ),
    "gzip bomb in a header": (
        upload("d.tgz", gzip.compress(b"\0" * 80_000_000, 1)),
        422,
        "files",
        ["smaller data set"],
    ),
    "body too large": (upload("train.jsonl", b" " * 4_000_000), 413, "body", ["smaller"]),
    "name of 201 characters": (upload("train.jsonl", ROWS, name="x" * 201), 422, "name", ["200"]),
    "NUL in the name": (upload("train.jsonl", ROWS, name="a\0b"), 422, "name", ["NUL"]),
    "no file": (
        post("/datasets", b"", as_admin=False, content_type="multipart/form-data; boundary=x"),
        422,
        "files",
        [],
    ),
        post("/datasets", b"", as_admin=False, content_type="multipart/form-data; boundary=x"),
        422,
        "files",
        [],
    ),
    "no multipart": (post("/datasets", "{}", as_admin=False), 422, "files", []),
}

BODIES = {
    "malformed": (post("/customers", '{"name": '), 422, "body", ["is not JSON"]),
    "not UTF-8": (post("/customers", b'{"name": "\xff"}'), 422, "body", ["is not JSON"]),
    "empty": (post("/customers", ""), 422, "body", ["required"]),
    "a list": (post("/customers", "[]"), 422, "body", []),
    "another media type": (post("/customers", '{"name": "x"}', content_type="text/plain"), 422, "body", []),
    "unknown field": (post("/customers", '{"name": "x", "colour": "red"}'), 422, "colour", []),
    "missing field": (post("/customers", "{}"), 422, "name", ["required"]),
    "empty name": (post("/customers", '{"name": ""}'), 422, "name", []),
    "name of 201 characters": (post("/customers", json.dumps({"name": "x" * 201})), 422, "name", ["200"]),
    "number of 5000 digits": (post("/customers", '{"name": ' + "9" * 5000 + "}"), 422, "body", ["is not JSON"]),
    "nested 100 deep": (post("/quotes", '{"config": ' + "[" * 100 + "]" * 100 + "}"), 422, None, []),
    "nested 100000 deep": (post("/quotes", "[" * 100_000), 422, "body", ["nested"]),
    "nine megabytes": (post("/customers", '{"name": "' + "x" * 9_000_000 + '"}'), 413, "body", ["smaller"]),
    "NaN": (post("/quotes", '{"config": {"learning_rate": NaN}}'), 422, "config.learning_rate", ["finite"]),
    "infinity": (post("/quotes", '{"config": {"learning_rate": 1e999}}'), 422, "config.learning_rate", ["finite"]),
    "integer beyond int64": (post("/quotes", '{"config": {"seed": 9223372036854775808}}'), 422, "config.seed", ["64"]),
    "key past the year 9999": (
        post("/api-keys", '{"name": "x", "role": "ops", "expires_at": "9999-12-31T23:59:59-12:00"}'),
        422,
        "expires_at",
        ["2200"],
    ),
    "key that has expired": (
        post("/api-keys", '{"name": "x", "role": "ops", "expires_at": "2026-01-01T00:00:00Z"}'),
        422,
        "expires_at",
        ["past"],
    ),
    "key of an unknown role": (post("/api-keys", '{"name": "x", "role": "root"}'), 422, "role", ["finance"]),
    **{
        f"{what} in a text": (post("/customers", f'{{"name": "{text}"}}'), 422, "name", ["remove it"])
        for what, text in UNSTORABLE.items()
    },
    **{
        f"{what} in a key": (post("/quotes", f'{{"config": {{"{text}": 1}}}}'), 422, "config", ["remove it"])
        for what, text in UNSTORABLE.items()
    },
    **{
        f"{what} in an id": (
            post("/quotes", f'{{"config": {json.dumps(CONFIG)}, "dataset_id": "{text}"}}'),
            422,
            "dataset_id",
            ["remove it"],
        )
        for what, text in UNSTORABLE.items()
    },
}

ADDRESSES = {
    "NUL in a path": (get("/jobs/job_%00"), 422, "job_id", ["NUL"]),
    "NUL in a query": (get("/projects?customer_id=%00"), 422, "customer_id", ["NUL"]),
    "bytes of no encoding": (get("/jobs/%ff"), 404, None, []),
    "id of 5000 characters": (get("/jobs/" + "9" * 5000), 404, None, []),
    "month 13": (get("/reports/monthly-cost?month=2026-13"), 422, "month", []),
    "month with a day": (get("/reports/monthly-cost?month=2026-11-01"), 422, "month", []),
    "no month": (get("/reports/monthly-cost"), 422, "month", ["required"]),
    "month in other digits": (get("/reports/monthly-cost?month=２０２６-11"), 422, "month", []),
    "junk as cursor": (get("/jobs?cursor=junk"), 422, "cursor", []),
    "cursor of another list": (get("/datasets?cursor=job_zz"), 422, "cursor", ["next_cursor"]),
    "no page": (get("/jobs?limit=0"), 422, "limit", []),
    "page too long": (get("/jobs?limit=101"), 422, "limit", ["100"]),
    "page that is no number": (get("/jobs?limit=many"), 422, "limit", ["integer"]),
    "unknown status": (get("/jobs?status=sleeping"), 422, "status", ["queued"]),
    "events after nothing": (get("/jobs/job_1/events?after=-1"), 422, "after", []),
    "comparison without hours": (get("/plan-comparison?tokens=1"), 422, "gpu_hours", ["required"]),
    "unknown address": (get("/nothing"), 404, None, []),
}

CASES = {"config": CONFIGS, "contract": CONTRACTS, "upload": UPLOADS, "body": BODIES, "address": ADDRESSES}


@pytest.mark.parametrize("table", CASES)
async def test_bad_input_names_the_field_and_the_cure_and_writes_nothing(
    world: World, urls: DatabaseUrls, system: System, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(system.services.settings, "max_dataset_bytes", 2_000_000)
    before = read_everything(urls)
    files = sorted(system.services.settings.data_dir.rglob("*"))
    faults = []
    for name, (send, status, field, words) in CASES[table].items():
        try:
            check_problem(await send(world), status, field, *words)
        except AssertionError as fault:
            faults.append(f"{name}: {fault}")
        if read_everything(urls) != before:
            faults.append(f"{name}: something was written")
            before = read_everything(urls)
    assert not faults, "\n".join(faults)
    assert sorted(system.services.settings.data_dir.rglob("*")) == files


async def test_address_that_takes_another_method_says_so(world: World) -> None:
    check_problem(await world.api.call("PUT", "/customers"), 405, None)


async def test_body_without_a_length_has_the_same_limit(world: World, urls: DatabaseUrls) -> None:
    async def chunks() -> Any:
        for _ in range(10):
            yield b" " * 1_000_000

    before = read_everything(urls)
    response = await world.api.call(
        "POST", "/customers", content=chunks(), headers={"Content-Type": "application/json"}
    )
    check_problem(response, 413, "body", "smaller")
    assert read_everything(urls) == before


# ── money and time ───────────────────────────────────────────────────────────────────────────────────────────────────


async def refused(api: Api, urls: DatabaseUrls, body: dict[str, Any], status: int, kind: str) -> dict[str, Any]:
    """Submit a job that must be refused so, with nothing written."""
    before = read_everything(urls)
    problem = check_problem(await api.call("POST", "/jobs", json=body), status, None)
    assert problem["type"] == f"/problems/{kind}"
    assert read_everything(urls) == before
    return problem


async def test_job_beyond_the_balance_is_refused(api: Api, urls: DatabaseUrls) -> None:
    """The advance invoice is not paid: the contract has no hours yet."""
    customer = await make_ready_customer(api)
    contract = await api.post(
        "/contracts", {"customer_id": customer.id, "plan": "prepaid", "committed_gpu_hours": 500}, expect=201
    )
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"], "contract_id": contract["id"]}
    async with customer_api(api, customer.id) as own:
        problem = await refused(own, urls, body, 402, "insufficient-balance")
    assert "GPU" in problem["detail"]
    await api.post(f"/invoices/{contract['advance_invoice_id']}/pay")
    async with customer_api(api, customer.id) as own:
        await own.post("/jobs", body, expect=201)


async def test_job_beyond_the_budget_is_refused(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_ready_customer(api, monthly_budget="0.01")
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"]}
    async with customer_api(api, customer.id) as own:
        problem = await refused(own, urls, body, 402, "budget-exceeded")
    assert "0.01" in problem["detail"]


async def test_job_dearer_than_its_cap_is_refused(world: World, urls: DatabaseUrls) -> None:
    body = {"config": CONFIG, "dataset_id": world.customer.dataset["id"], "max_cost": "0.000001"}
    problem = await refused(world.own, urls, body, 402, "max-cost-exceeded")
    assert [error["field"] for error in problem["errors"]] == ["max_cost"]


async def test_expired_quote_is_refused_from_its_last_second_on(world: World, urls: DatabaseUrls) -> None:
    dataset = world.customer.dataset["id"]
    made = await world.own.post("/quotes", {"config": CONFIG, "dataset_id": dataset}, expect=201)
    body = {"config": CONFIG, "dataset_id": dataset, "quote_id": made["id"]}
    world.clock.now = START + timedelta(days=1)
    problem = await refused(world.own, urls, body, 409, "quote-expired")
    assert problem["errors"] == [{"field": "quote_id", "message": "expired; ask for a new quote"}]
    world.clock.now -= timedelta(microseconds=1)
    await world.own.post("/jobs", body, expect=201)


async def test_quote_of_another_config_or_data_set_is_refused(world: World, urls: DatabaseUrls) -> None:
    dataset = world.customer.dataset["id"]
    made = await world.own.post("/quotes", {"config": CONFIG, "dataset_id": dataset}, expect=201)
    other = (await world.own.call("POST", "/datasets", files={"files": ("b.jsonl", ROWS)})).json()
    body = {"config": CONFIG, "dataset_id": dataset, "quote_id": made["id"]}
    problem = await refused(world.own, urls, {**body, "config": {**CONFIG, "epochs": 2}}, 409, "quote-mismatch")
    assert problem["errors"][0]["field"] == "config"
    problem = await refused(world.own, urls, {**body, "dataset_id": other["id"]}, 409, "quote-mismatch")
    assert problem["errors"][0]["field"] == "dataset_id"
    job = await world.own.post("/jobs", {**body, "config": {**CONFIG, "lora_rank": 8}}, expect=201)
    assert job["quote_id"] == made["id"], "a default that is written out is the same configuration"


async def test_job_without_a_contract_in_force_is_refused(world: World, urls: DatabaseUrls) -> None:
    body = {"config": CONFIG, "dataset_id": world.customer.dataset["id"]}
    world.clock.now = START - timedelta(days=1)
    await refused(world.own, urls, body, 409, "no-contract-in-force")


async def test_key_is_refused_once_it_expires_or_is_revoked(world: World, urls: DatabaseUrls) -> None:
    path = f"/customers/{world.customer.id}/api-keys"
    expiry = (START + timedelta(hours=1)).isoformat()
    short = await world.api.post(path, {"name": "short", "expires_at": expiry}, expect=201)
    lost = await world.api.post(path, {"name": "lost"}, expect=201)
    for key in (short, lost):
        async with Api.connect(world.api.app, key["key"]) as bearer:
            await bearer.get("/jobs")
    world.clock.now = START + timedelta(hours=1)
    await world.api.call("DELETE", f"/api-keys/{lost['id']}", expect=200)
    before = read_everything(urls)
    for key, word in ((short, "expired"), (lost, "revoked")):
        async with Api.connect(world.api.app, key["key"]) as bearer:
            response = await bearer.call("POST", "/projects", json={"name": "late"})
        problem = check_problem(response, 401, None)
        assert word in problem["detail"]
        assert response.headers["www-authenticate"] == "Bearer"
    assert read_everything(urls) == before


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "lbk_x", "Bearer lbk_00000000_unknown", "Bearer \xff\xfe"]
)
async def test_what_is_no_key_is_refused(api: Api, header: str) -> None:
    response = await api.http.get("/v1/jobs", headers={"Authorization": header.encode("latin-1")})
    assert "API key" in check_problem(response, 401, None)["detail"]


# ── what workers send ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_bad_reports_of_a_worker_are_refused(api: Api, system: System, urls: DatabaseUrls) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    run_id = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]["id"]
    good = usage_event(run_id)
    bad: dict[str, tuple[Any, str]] = {
        "sequence beyond int64": ({**good, "data": {**good["data"], "sequence": 2**63}}, "usage.0.data.sequence"),
        "negative tokens": ({**good, "data": {**good["data"], "tokens": -1}}, "usage.0.data.tokens"),
        "seconds out of nothing": ({**good, "data": {**good["data"], "gpu_seconds": 3600}}, "usage[0].gpu_seconds"),
        "year 9999": ({**good, "data": {**good["data"], "ended_at": "9999-12-31T23:59:59Z"}}, "usage.0.data.ended_at"),
        "another run's": (usage_event("run_other"), "usage[0].subject"),
        "NUL in an extension": ({**good, "note": "\0"}, "usage.0.note"),
        "NaN in an extension": ({**good, "note": float("nan")}, "usage.0.note"),
    }
    async with worker_api(api.app, system, run_id) as worker:
        await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1})
        before = read_everything(urls)
        for name, (event, field) in bad.items():
            response = await worker.call(
                "POST",
                f"/runs/{run_id}/heartbeats",
                content=json.dumps({"fence_token": 1, "usage": [event]}),
                headers={"Content-Type": "application/json"},
            )
            assert field in [error["field"] for error in check_problem(response, 422, None)["errors"]], name
            assert read_everything(urls) == before, name
        response = await worker.call("POST", f"/runs/{run_id}/heartbeats", json={"fence_token": 2})
        check_problem(response, 409, None)
        assert read_everything(urls) == before
        headers = {"X-Fence-Token": "1", "X-Content-SHA256": "0" * 64}
        path = f"/runs/{run_id}/checkpoints/{2**63}"
        check_problem(await worker.call("PUT", path, content=b"x", headers=headers), 422, "step")
        assert read_everything(urls) == before
        await worker.post(f"/runs/{run_id}/heartbeats", {"fence_token": 1, "usage": [good]})
