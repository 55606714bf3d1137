"""The facade over the application, as the hub's client asks it; `tests/clients` asks with the client itself."""

import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2 as httpx
import pytest

from tests.broker.factories import Api, customer_api, dispatch, make_customer, sign_contract, submit_job, upload_dataset
from tests.broker.tenants import finish_job

CONFIG = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "smollm2-135m-instruct"}
HUB = "http://broker/hf"
API = f"{HUB}/api/models/acme-tea/train"


def weights(config: dict | None = CONFIG) -> bytes:
    told = {"format": "pt"} | ({} if config is None else {"adapter_config": json.dumps(config)})
    header = json.dumps({"__metadata__": told}).encode()
    return struct.pack("<Q", len(header)) + header


@dataclass
class Owner:
    """A customer with two versions of one adapter, the first without a configuration in its file."""

    http: httpx.AsyncClient
    versions: list[dict]

    @property
    def newest(self) -> dict:
        return self.versions[0]


@pytest.fixture
async def owner(api: Api, system) -> AsyncIterator[Owner]:
    customer = await make_customer(api, "Acme Tea")
    await sign_contract(api, customer["id"])
    dataset = (await upload_dataset(api, customer["id"]))["id"]
    async with customer_api(api, customer["id"]) as own:
        for content in (weights(None), weights()):
            job = (await submit_job(own, dataset))["id"]
            await dispatch(system)
            await finish_job(own, system, job, content=content)
        yield Owner(own.http, (await own.get("/adapters"))["data"])


async def test_a_repository_tells_its_commit_and_its_files(owner):
    told = (await owner.http.get(API)).json()
    commit = owner.newest["sha256"][:40]
    assert (told["id"], told["sha"], told["private"]) == ("acme-tea/train", commit, True)
    assert {each["rfilename"] for each in told["siblings"]} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "README.md",
    }
    tree = (await owner.http.get(f"{API}/tree/{commit}", params={"recursive": "true"})).json()
    (large,) = [each for each in tree if "lfs" in each]
    assert large["lfs"] == {"oid": owner.newest["sha256"], "size": len(weights()), "pointerSize": 134}


@pytest.mark.parametrize("revision", ["main", "v2", "commit"])
async def test_the_weights_come_whole_or_in_the_part_that_is_asked_for(owner, revision):
    wanted = owner.newest["sha256"][:40] if revision == "commit" else revision
    path = f"{HUB}/acme-tea/train/resolve/{wanted}/adapter_model.safetensors"
    head = await owner.http.head(path)
    assert head.status_code == 200
    assert head.headers["X-Repo-Commit"] == owner.newest["sha256"][:40]
    assert head.headers.get_list("ETag") == [f'"{owner.newest["sha256"]}"']
    assert head.headers["Content-Length"] == str(len(weights()))
    whole = await owner.http.get(path)
    part = await owner.http.get(path, headers={"Range": "bytes=8-"})
    assert (whole.content, part.status_code, part.content) == (weights(), 206, weights()[8:])


async def test_the_configuration_and_the_card_are_small_files(owner):
    path = f"{HUB}/acme-tea/train/resolve/main"
    config = await owner.http.get(f"{path}/adapter_config.json")
    assert config.json() == CONFIG
    head = await owner.http.head(f"{path}/adapter_config.json")
    assert head.headers["Content-Length"] == str(len(config.content))
    assert head.headers["ETag"].strip('"')
    assert b'base_model: "smollm2-135m-instruct"' in (await owner.http.get(f"{path}/README.md")).content


async def test_an_older_version_is_a_revision_and_has_no_configuration_where_its_file_tells_none(owner):
    told = (await owner.http.get(f"{API}/revision/v1")).json()
    assert told["sha"] == owner.versions[1]["sha256"][:40]
    assert "adapter_config.json" not in {each["rfilename"] for each in told["siblings"]}


async def test_an_adapter_is_found_by_its_id_too(owner):
    told = await owner.http.get(f"{HUB}/api/models/acme-tea/{owner.newest['id']}")
    assert told.json()["sha"] == owner.newest["sha256"][:40]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("api/models/other/train", "RepoNotFound"),
        ("api/models/acme-tea/nope", "RepoNotFound"),
        ("api/models/acme-tea/ada_nope", "RepoNotFound"),
        ("api/models/acme-tea/train/revision/v9", "RevisionNotFound"),
        ("acme-tea/train/resolve/main/config.json", "EntryNotFound"),
    ],
)
async def test_what_is_not_there_is_told_by_the_code_that_the_client_reads(owner, path, code):
    refused = await owner.http.get(f"{HUB}/{path}")
    assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, code)
    assert refused.headers["X-Error-Message"] == refused.json()["error"]


async def test_another_tenant_finds_no_repository(api, owner):
    other = await make_customer(api, "Acme Tea!")  # the hub writes it as the first one's
    async with customer_api(api, other["id"]) as stranger:
        for path in (API, f"{HUB}/api/models/acme-tea/{owner.newest['id']}"):
            refused = await stranger.http.get(path)
            assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "RepoNotFound")


async def test_a_token_is_told_whose_it_is_and_a_wrong_one_is_refused(owner):
    assert (await owner.http.get(f"{HUB}/api/whoami-v2")).json()["name"] == "acme-tea"
    refused = await owner.http.get(f"{HUB}/api/whoami-v2", headers={"Authorization": "Bearer lbk_nope"})
    assert refused.status_code == 401


async def test_a_name_with_a_line_break_breaks_no_header(owner):
    refused = await owner.http.get(f"{HUB}/api/models/acme-tea/a%0d%0aX-Evil:%201")
    assert refused.status_code == 404
    assert "X-Evil" not in refused.headers
    assert "\n" not in refused.headers["X-Error-Message"]
