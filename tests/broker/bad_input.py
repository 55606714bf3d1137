"""Bad input, as a table: what is sent, the status it gets, the field that is named, words of the cure."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from tests.broker.conftest import ManualClock
from tests.broker.factories import CONFIG, Api, Customer, jsonl

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


Send = Callable[[World], Awaitable[httpx.Response]]


def quote(config: dict[str, Any]) -> Send:
    return quote_only({**CONFIG, **config})


def quote_only(config: dict[str, Any]) -> Send:
    async def send(world: World) -> httpx.Response:
        body = {"config": config, "dataset_id": world.customer.dataset["id"]}
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


def of_contract(path: str, **fields: Any) -> Send:
    """Post something of the customer's contract: its id is in the path, where that has a place for it, or the body."""

    async def send(world: World) -> httpx.Response:
        contract_id = world.customer.contract["id"]
        body = fields if "{" in path else {"contract_id": contract_id, **fields}
        content = json.dumps(body)  # NaN, too, which the client would not write
        headers = {"Content-Type": "application/json"}
        return await world.api.call("POST", path.format(contract_id), content=content, headers=headers)

    return send


def give(**fields: Any) -> Send:
    return of_contract("/grants", **{"kind": "promotional", "reason": "welcome", **fields})


def amend(**fields: Any) -> Send:
    return of_contract("/contracts/{}/amendments/preview", **fields)


def credit(**fields: Any) -> Send:
    return of_contract("/adjustments", kind="credit", **{"reason": "late", "amount": "5", **fields})


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
    "what a job says beside it": (quote({"priority": 1}), 422, "config.priority", ["beside its config, as queue"]),
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
    "base model missing": (quote_only({}), 422, "config.base_model", []),
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

MONEY = {
    "gift of parts of a GPU-second": (give(gpu_hours="0.0001"), 422, "gpu_hours", ["multiple of 0.0025"]),
    "gift below zero": (give(gpu_hours="-1"), 422, "gpu_hours", ["greater than 0"]),
    "gift of NaN": (give(gpu_hours=float("nan")), 422, "gpu_hours", ["finite"]),
    "gift of more than there are hours": (give(gpu_hours=10**9), 422, "gpu_hours", []),
    "gift of tokens below zero": (give(tokens=-1), 422, "tokens", ["greater than or equal to 1"]),
    "gift of half a token": (give(tokens=0.5), 422, "tokens", ["integer"]),
    "gift of dollars": (give(gpu_hours="1", currency="USD"), 422, "currency", []),
    "gift for a NUL": (give(gpu_hours="1", reason="a\0b"), 422, "reason", ["remove it"]),
    "gift that ends before it begins": (give(gpu_hours="1", expires_at="2020-01-01T00:00:00Z"), 422, "expires_at", []),
    "order below zero": (of_contract("/purchases", gpu_hours="-1"), 422, "gpu_hours", ["greater than 0"]),
    "order of Infinity": (of_contract("/purchases", tokens=float("inf")), 422, "tokens", ["finite"]),
    "order of 121 months": (of_contract("/purchases", tokens=1, term_months=121), 422, "term_months", ["120"]),
    "top-up of nothing": (
        of_contract("/contracts/{}/top-up", threshold_gpu_hours=1, purchase_gpu_hours=0),
        422,
        "purchase_gpu_hours",
        [],
    ),
    "amended budget of NaN": (amend(monthly_budget="NaN"), 422, "monthly_budget", ["digits"]),
    "amended budget below zero": (amend(monthly_budget="-5"), 422, "monthly_budget", []),
    "amended budget in dollars": (
        amend(monthly_budget={"amount": "5", "currency": "USD"}),
        422,
        "monthly_budget",
        ["number by itself"],
    ),
    "amended currency": (amend(currency="USD"), 422, "currency", ["CNY"]),
    "amended before the contract": (
        amend(payment_days=5, effective_at="2026-01-01T00:00:00Z"),
        422,
        "effective_at",
        ["before the contract begins"],
    ),
    "amended in the year 9999": (amend(payment_days=5, effective_at="9999-12-31T23:59:59Z"), 422, "effective_at", []),
    "credit of NaN": (credit(amount="NaN"), 422, "amount", ["digits"]),
    "credit of parts of a fen": (credit(amount="0.001"), 422, "amount", ["2 decimal places"]),
    "credit in dollars": (credit(currency="USD"), 422, "currency", ["CNY"]),
    "credit for a NUL": (credit(reason="a\0b"), 422, "reason", ["remove it"]),
    "credit note below zero": (
        of_contract("/credit-notes", reason="late", lines=[{"position": 1, "amount": "-1"}]),
        422,
        "lines.0.amount",
        ["greater than 0"],
    ),
    "closing of a month to come": (
        post("/closings", '{"month": "2099-01"}'),
        409,
        "month",
        ["not over"],
    ),
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
    "no multipart": (post("/datasets", "{}", as_admin=False), 422, "files", []),
}

BODIES = {
    "malformed": (post("/customers", '{"name": '), 422, "body", ["is not JSON"]),
    "not UTF-8": (post("/customers", b'{"name": "\xff"}'), 422, "body", ["is not JSON"]),
    "empty": (post("/customers", ""), 422, "body", ["required"]),
    "a list": (post("/customers", "[]"), 422, "body", []),
    "another media type": (post("/customers", '{"name": "x"}', content_type="text/plain"), 422, "body", []),
    "unknown field": (post("/customers", '{"name": "x", "colour": "red"}'), 422, "colour", []),
    "a key twice": (post("/customers", '{"name": "x", "name": "y"}'), 422, "body", ["'name' more than once"]),
    "a key twice, further in": (post("/quotes", '{"config": {"epochs": 1, "epochs": 9}}'), 422, "body", ["'epochs'"]),
    "a key of half a surrogate pair twice": (post("/customers", r'{"\ud800": 1, "\ud800": 2}'), 422, "body", ["once"]),
    "a key of half a surrogate pair over a NUL": (
        post("/customers", r'{"\ud800": "\u0000"}'),
        422,
        r"\ud800",
        ["remove it"],
    ),
    "name of a blank": (post("/customers", '{"name": " "}'), 422, "name", ["be seen"]),
    "name that turns letters around": (post("/customers", r'{"name": "a\u202eb"}'), 422, "name", ["remove it"]),
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
    "cursor of another list that sorts before": (get("/datasets?cursor=con_01k"), 422, "cursor", ["next_cursor"]),
    "no page": (get("/jobs?limit=0"), 422, "limit", []),
    "page too long": (get("/jobs?limit=101"), 422, "limit", ["100"]),
    "page that is no number": (get("/jobs?limit=many"), 422, "limit", ["integer"]),
    "unknown status": (get("/jobs?status=sleeping"), 422, "status", ["queued"]),
    "events after nothing": (get("/jobs/job_1/events?after=-1"), 422, "after", []),
    "events after 64 bits": (get("/jobs/job_1/events?after=9223372036854775808"), 422, "after", ["less than"]),
    "events after what JSON keeps": (get(f"/jobs/job_1/events?after={2**53}"), 422, "after", [str(2**53 - 1)]),
    "events after 5000 digits": (get("/jobs/job_1/events?after=" + "9" * 5000), 422, "after", []),
    "events after all of them": (get(f"/jobs/job_1/events?after={2**53 - 1}"), 404, None, []),
    "comparison without hours": (get("/plan-comparison?tokens=1"), 422, "gpu_hours", ["required"]),
    "unknown address": (get("/nothing"), 404, None, []),
}

CASES = {
    "config": CONFIGS,
    "contract": CONTRACTS,
    "money": MONEY,
    "upload": UPLOADS,
    "body": BODIES,
    "address": ADDRESSES,
}
