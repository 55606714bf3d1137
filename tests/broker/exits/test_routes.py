"""A customer's exit: what it has is handed over whole and proven, deleted, and the proof tells what is gone."""

import base64
import hashlib
import io
import json
import re
import zipfile
from typing import Any

from sqlalchemy import ARRAY, JSON, String, Text, cast, select
from sqlalchemy.dialects.postgresql import JSONB

from broker.exits.proof import is_signed_by, write_manifest
from broker.http.idempotency import IdempotencyKey
from broker.persistence.database import Base
from broker.retention.service import sweep
from broker.sealing import find_sealed
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import CONFIG, Api, customer_api, dispatch, make_ready_customer, submit_job
from tests.broker.tenants import finish_job

DOCUMENTS = ("quotes", "templates", "template_versions", "contracts", "credit_notes", "contacts")


def read_lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"{name}.jsonl").splitlines()]


async def test_export_has_everything_with_hashes_and_a_signature(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    stranger = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        job = (await submit_job(own, customer.dataset["id"]))["id"]
        await dispatch(system)
        await finish_job(own, system, job)
        adapter = (await own.get("/adapters"))["data"][0]
        project = await own.post("/projects", {"name": "spring"}, expect=201)
        style = {"project_id": project["id"], "name": "style", "config": CONFIG}
        await own.post("/templates", style, expect=201)
        contact = {"name": "Li", "address": "li@example.com"}
        await own.post(f"/customers/{customer.id}/contacts", contact, expect=201)
        answer = await own.call("GET", f"/customers/{customer.id}/export", expect=200)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    signature = archive.read("manifest.sig").decode()
    assert is_signed_by(manifest["public_key"], archive.read("manifest.json"), signature)
    assert not is_signed_by(manifest["public_key"], archive.read("manifest.json") + b" ", signature)
    entries = {entry["path"]: entry for entry in manifest["entries"]}
    assert set(entries) == set(archive.namelist()) - {"manifest.json", "manifest.sig"}
    for path, entry in entries.items():
        content = archive.read(path)
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["size_bytes"])
    assert entries[f"adapters/{adapter['id']}.safetensors"]["sha256"] == adapter["sha256"]
    assert f"datasets/{customer.dataset['id']}.tar" in entries
    assert [json.loads(line)["id"] for line in archive.read("jobs.jsonl").splitlines()] == [job]
    told = {name: read_lines(archive, name) for name in DOCUMENTS}
    assert [each["id"] for each in told["contracts"]] == [customer.contract["id"]]
    assert [each["name"] for each in told["templates"]] == ["style"]
    assert [each["version"] for each in told["template_versions"]] == [1]
    assert [each["shown"] for each in told["contacts"]] == ["li@example.com"]
    assert {each["customer_id"] for each in told["quotes"]} <= {customer.id}
    assert stranger.id.encode() not in answer.content


async def test_who_of_staff_takes_an_export_is_on_record(api: Api) -> None:
    customer = await make_ready_customer(api)
    await api.call("GET", f"/customers/{customer.id}/export", expect=200)
    (entry,) = (await api.get("/audit", action="export_customer"))["data"]
    assert entry["customer_id"] == customer.id
    for nobody in ("cus_nobody", "客户"):  # a past fault: this one went into a header before it was looked up
        await api.call("GET", f"/customers/{nobody}/export", expect=404)


SEALED = {
    "secrets": {"name": "wandb", "kind": "wandb", "key": "a-key-of-a-tracker"},
    "environments": {"name": "box", "stage": "test", "kind": "webhook", "url": "https://box.example.com/hook"},
    "webhook-endpoints": {"name": "CI", "url": "https://ci.example.com/hook", "event_types": ["job.ended"]},
}
CHAT = {"name": "team", "url": "dingtalk://0123456789abcdef0123456789abcdef@SECabcdef"}


async def find_sealed_values(system: System) -> set[str]:
    """Find where in the whole database something is that the installation's secret opens, by table and column."""
    found = set[str]()
    async with system.work() as work:
        for table in Base.metadata.sorted_tables:
            texts = [column for column in table.columns if isinstance(column.type, (String, JSON, JSONB, ARRAY))]
            for column in texts:
                written = cast(column, Text)
                values = await work.session.scalars(select(written).where(written.contains("gAAAA")))
                told = [seal for value in values for seal in re.findall(r"gAAAA[\w=-]+", value)]
                if any(find_sealed(system.services.secret, each) is not None for each in told):
                    found.add(f"{table.name}.{column.name}")
    return found


async def test_nothing_that_was_sealed_outlives_an_exit_and_the_export_names_what_it_was_for(
    api: Api, system: System
) -> None:
    """A past fault: tokens of environments, secrets of webhook endpoints and keys of trackers stayed."""
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        made = {kind: await own.post(f"/{kind}", body, expect=201, key=kind) for kind, body in SEALED.items()}
        await own.post(f"/webhook-endpoints/{made['webhook-endpoints']['id']}/rotate-secret", {"overlap_hours": 24})
        chat = await own.post(f"/customers/{customer.id}/contacts", CHAT, expect=201)
        answer = await own.call("GET", f"/customers/{customer.id}/export", expect=200)
        assert await find_sealed_values(system) == {
            "customer_secrets.sealed_key",
            "environments.token",
            "notice_contacts.url",
            "webhook_endpoints.former_secret",
            "webhook_endpoints.secret",
        }
        async with system.work() as work:
            answers = (await work.session.scalars(select(IdempotencyKey.body))).all()
        told = [json.loads(each) for each in answers if each]
        assert [each["secret"] for each in told if "secret" in each] == [None, None], "shown once, and never kept"
        path, name = f"/customers/{customer.id}/deletions", (await own.get(f"/customers/{customer.id}"))["name"]
        gone = await own.post(path, {"confirm": name}, expect=201)
        assert await find_sealed_values(system) == set()
        proven = {each["id"]: (each["kind"], each["is_gone"]) for each in gone["manifest"]["entries"]}
        assert proven == {
            customer.dataset["id"]: ("dataset", False),
            made["secrets"]["id"]: ("secret", True),
            made["environments"]["id"]: ("environment", True),
            made["webhook-endpoints"]["id"]: ("webhook_endpoint", True),
            chat["id"]: ("contact", True),
        }
        for kind in SEALED:
            assert (await own.get(f"/{kind}"))["data"] == []
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert [each["name"] for each in read_lines(archive, "secrets")] == ["wandb"]
    (environment,), (endpoint,) = read_lines(archive, "environments"), read_lines(archive, "webhook_endpoints")
    assert (environment["url"], endpoint["url"]) == ("https://box.example.com/hook", "https://ci.example.com/hook")
    for secret in ("a-key-of-a-tracker", made["environments"]["secret"], made["webhook-endpoints"]["secret"], "gAAAA"):
        assert secret.encode() not in answer.content


async def test_deletion_is_proven_once_the_files_are_gone(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        job = (await submit_job(own, customer.dataset["id"]))["id"]
        path = f"/customers/{customer.id}/deletions"
        name = (await own.get(f"/customers/{customer.id}"))["name"]
        await own.post(path, {"confirm": name.lower() + "?"}, expect=422)
        refused = await own.post(path, {"confirm": name}, expect=409)
        assert job in refused["detail"]
        await dispatch(system)
        await finish_job(own, system, job)
        tus = {"Tus-Resumable": "1.0.0"}
        upload = await own.call("POST", "/uploads", headers=tus | {"Upload-Length": "12"}, expect=201)
        piece = tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        await own.call("PATCH", f"/uploads/{upload.json()['id']}", content=b"secret", headers=piece, expect=204)
        made = await own.post(path, {"confirm": name}, expect=201)
        kinds = [entry["kind"] for entry in made["manifest"]["entries"]]
        assert kinds == ["adapter", "checkpoint", "dataset", "upload"]
        assert not made["is_complete"]
        assert (await own.get("/datasets"))["data"] == (await own.get("/adapters"))["data"] == []
        assert (await own.get("/uploads"))["data"] == []
        await sweep(system)
        assert [each async for each in system.services.storage.list_objects("uploads/")] == []
        await own.get(f"/jobs/{job}")  # what was charged can still be looked at
        clock.advance(days=3)
        await sweep(system)
        done = await own.get(f"{path}/{made['id']}")
        assert done["is_complete"]
        assert is_signed_by(done["public_key"], write_manifest(done["manifest"]), done["signature"])
        forged = {**done["manifest"], "entries": []}
        assert not is_signed_by(done["public_key"], write_manifest(forged), done["signature"])
        assert len(base64.b64decode(done["public_key"])) == 32
        await own.get(f"{path}/del_none", expect=404)
        again = await own.post(path, {"confirm": name}, expect=201)
        assert (again["manifest"]["entries"], again["is_complete"]) == ([], True)


async def test_a_key_of_the_account_alone_takes_nothing_out_and_deletes_nothing(api: Api) -> None:
    """A past fault: who might read the account only had every data set and invoice of it by its export."""
    customer = await make_ready_customer(api)
    keys, name = f"/customers/{customer.id}/api-keys", (await api.get(f"/customers/{customer.id}"))["name"]
    key = await api.post(keys, {"name": "sync", "scopes": ["account:write", "training:read"]}, expect=201)
    async with Api.connect(api.app, key["key"]) as sync:
        refused = await sync.get(f"/customers/{customer.id}/export", expect=403)
        assert "lacks billing:read" in refused["detail"]
        refused = await sync.post(f"/customers/{customer.id}/deletions", {"confirm": name}, expect=403)
        assert "lacks training:write" in refused["detail"]
    whole = ["account:read", "billing:read", "training:read"]
    key = await api.post(keys, {"name": "backup", "scopes": whole}, expect=201)
    async with Api.connect(api.app, key["key"]) as backup:
        await backup.call("GET", f"/customers/{customer.id}/export", expect=200)
