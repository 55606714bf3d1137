"""The facade over the application; `tests/clients` asks with DashScope's own package."""

from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest

from tests.broker.factories import Api, dispatch, jsonl, make_customer, make_ready_customer, sign_contract

MODEL = "SmolLM2-135M-Instruct"


async def connect(api: Api, customer_id: str) -> httpx.AsyncClient:
    made = await api.post(f"/customers/{customer_id}/api-keys", {"name": "ds", "max_cost": "5.00"}, expect=201)
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {made['key']}"}
    return httpx.AsyncClient(transport=transport, base_url="http://broker/dashscope/api/v1", headers=headers)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    customer = await make_customer(api)
    await sign_contract(api, customer["id"])
    async with await connect(api, customer["id"]) as client:
        yield client


async def upload(client: httpx.AsyncClient, count: int = 1) -> list[str]:
    files = [("files", (f"{place}.jsonl", jsonl())) for place in range(count)]
    told = (await client.post("/files", files=files)).raise_for_status().json()
    return [each["file_id"] for each in told["data"]["uploaded_files"]]


async def order(client: httpx.AsyncClient, file_id: str, **changes: object) -> httpx.Response:
    headers = changes.pop("headers", None)
    body = {"model": MODEL, "training_file_ids": [file_id], "hyper_parameters": {"n_epochs": 1}, **changes}
    return await client.post("/fine-tunes", json=body, headers=headers)


async def test_a_job_is_ordered_by_the_name_that_its_model_has_there_and_cancelled(client):
    (file_id,) = await upload(client)
    told = (await order(client, file_id)).json()
    made = told["output"]
    assert told["request_id"].startswith("req_")
    assert (made["status"], made["model"], made["training_file_ids"]) == (
        "PENDING",
        "smollm2-135m-instruct",
        [file_id],
    )
    assert made["lora"]["limit"] == {"amount": "5.00", "currency": "CNY"}
    path = f"/fine-tunes/{made['job_id']}"
    assert (await client.get(path)).json()["output"] == made
    assert (await client.post(f"{path}/cancel")).json()["output"] == {"status": "success"}
    assert (await client.get(path)).json()["output"]["status"] == "CANCELED"
    assert (await client.get(f"{path}/checkpoints")).json()["output"] == []
    assert (await client.get(f"{path}/logs")).json()["output"] == {"total": 0, "logs": []}


async def test_lists_have_numbered_pages_and_say_whether_there_are_more(client):
    ids = (await upload(client, 3))[::-1]
    pages = [(await client.get("/files", params={"page_no": no, "page_size": 2})).json()["data"] for no in (1, 2, 3)]
    assert [[each["file_id"] for each in page["files"]] for page in pages] == [ids[:2], ids[2:], []]
    assert [page["total"] for page in pages] == [3, 3, 3]
    far = await client.get("/files", params={"page_no": 200, "page_size": 100})
    assert (far.status_code, far.json()["code"]) == (400, "InvalidParameter")


async def test_models_are_those_that_can_be_trained_by_any_of_their_names(client):
    listed = (await client.get("/models", params={"page_size": 100})).json()["output"]
    assert "smollm2-135m-instruct" in {each["model"] for each in listed["models"]}
    named = (await client.get("/models", params={"model": "HuggingFaceTB/SmolLM2-135M-Instruct"})).json()["output"]
    assert [each["model"] for each in named["models"]] == ["smollm2-135m-instruct"]
    assert (await client.get(f"/models/{MODEL}")).json()["output"]["model"] == "smollm2-135m-instruct"
    assert (await client.get("/models/ft:a:b::ada_nope")).json()["code"] == "NotFound"


async def test_the_events_of_a_job_come_as_lines_of_data_until_it_is_over(client, system):
    (file_id,) = await upload(client)
    job_id = (await order(client, file_id)).json()["output"]["job_id"]
    await client.post(f"/fine-tunes/{job_id}/cancel")
    zh = {"Accept-Language": "zh"}
    lines = (await client.get(f"/fine-tunes/{job_id}/stream", headers=zh)).text.splitlines()
    told = [line for line in lines if line and not line.startswith(":")]
    assert [line.partition(" ")[0] for line in told] == ["data:", "data:"]
    assert "已提交到队列 standard" in told[0]
    assert "已取消" in told[1]


async def test_what_one_program_sends_twice_within_a_minute_is_one_order_and_of_another_a_second(client, clock):
    (file_id,) = await upload(client)

    async def ask(session: str, generation: str = "2") -> str:
        sender = f"python-sdk/2.0.2/finetune{generation}"
        headers = {"x-dashscope-sdk-client": sender, "x-dashscope-sdk-session-id": session}
        return (await order(client, file_id, headers=headers)).json()["output"]["job_id"]

    first = await ask("a")
    assert await ask("a") == first
    assert await ask("b") != first
    assert await ask("a", generation="") != first  # the first generation sends nothing again by itself
    await client.post(f"/fine-tunes/{first}/cancel")
    again = await ask("a")
    assert again != first  # whoever has cancelled a job has had its answer
    clock.advance(minutes=2)
    assert await ask("a") != again


async def test_what_is_refused_is_told_in_the_words_of_the_client_and_the_language_of_the_caller(client):
    (file_id,) = await upload(client)
    refused = await order(client, file_id, hyper_parameters={"n_epochs": 0})
    assert (refused.status_code, refused.json()["code"]) == (400, "InvalidParameter")
    assert refused.json()["message"].startswith("hyper_parameters.n_epochs: ")
    assert refused.headers["x-should-retry"] == "false"
    zh = {"Accept-Language": "zh-CN,zh;q=0.9"}
    said = (await order(client, file_id, hyper_parameters={"n_epochs": 0}, headers=zh)).json()["message"]
    assert said.startswith("hyper_parameters.n_epochs：")
    said = (await order(client, file_id, training_type="sft", headers=zh)).json()["message"]
    assert said == "training_type：此处不提供该训练方式，请使用 efficient_sft"
    assert (await client.get("/deployments")).json()["code"] == "NotFound"
    wrong = await client.get("/files", headers={"Authorization": "Bearer lbk_nope"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "InvalidApiKey")


async def test_a_job_is_never_deleted_and_nothing_of_another_tenant_is_found(api, client, system):
    (file_id,) = await upload(client)
    job_id = (await order(client, file_id)).json()["output"]["job_id"]
    await dispatch(system)
    refused = await client.delete(f"/fine-tunes/{job_id}")
    assert (refused.status_code, refused.json()["code"]) == (400, "UnsupportedOperation")
    other = await make_ready_customer(api)
    async with await connect(api, other.id) as theirs:
        for path in ("", "/stream", "/logs", "/checkpoints"):
            assert (await theirs.get(f"/fine-tunes/{job_id}{path}")).status_code == 404
        assert (await theirs.post(f"/fine-tunes/{job_id}/cancel")).status_code == 404
        assert (await theirs.get(f"/files/{file_id}")).status_code == 404
        assert (await order(theirs, file_id)).status_code == 404
