"""What a check has found becomes the data set's report, which quotes name from then on."""

import json
from typing import Any

from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import Api, make_ready_customer
from tests.broker.picture_files import draw_picture, upload_pictures, zip_files
from tests.broker.worker_calls import dispatched_worker, worker_of

FILES = {
    "a.png": draw_picture(number=1),
    "a.txt": "a red kettle on a table",
    "inner.zip": zip_files({"b.png": draw_picture(number=2)}),
}
BLURRED = {"file": "a.png", "line": None, "level": "warning", "message": "looks blurred", "cure": "take a sharp one"}


async def order(api: Api, config: dict[str, Any]) -> Any:
    customer = await make_ready_customer(api)
    dataset = await upload_pictures(api, customer.id, FILES)
    quote = await api.post("/quotes", {"config": config, "dataset_id": dataset["id"]}, expect=201)
    body = {"config": config, "dataset_id": dataset["id"], "customer_id": customer.id, "quote_id": quote["id"]}
    return await api.post("/jobs", body, expect=201)


async def test_a_report_takes_the_place_of_the_uploads_and_quotes_name_it(
    api: Api, app: FastAPI, system: System
) -> None:
    job = await order(api, {"kind": "check"})
    assert (job["kind"], job["estimate"]["tokens"], job["estimate"]["rows"]) == ("check", 0, 1)
    before = await api.get(f"/datasets/{job['dataset_id']}")
    report = json.dumps({"figures": {"pictures": 1}, "findings": [BLURRED]}).encode()
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.post("finish", outcome="succeeded", expect=409)
        counts = (await worker.put("report", report)).json()
        await worker.post("finish", outcome="succeeded", usage=[worker.interval(4)])
    dataset = await api.get(f"/datasets/{job['dataset_id']}")
    assert (counts["warning"], before["checked_at"], dataset["checked_at"] is None) == (1, None, False)
    assert (dataset["sha256"], dataset["finding_counts"]) == (before["sha256"], counts)
    told = {each["file"]: each["message"] for each in dataset["findings"]}
    assert told["a.png"] == "looks blurred; take a sharp one"
    assert "archive inside an archive" in told["inner.zip"]  # what is not kept no check can find
    asked = {"config": {"base_model": "sd-1.5", "skip_bad_rows": True}, "dataset_id": dataset["id"]}
    quoted = (await api.post("/quotes", asked, expect=201))["findings"]
    assert told["a.png"] in [each["message"] for each in quoted["first"]]
    job = await api.get(f"/jobs/{job['id']}")
    assert (job["status"], job["cost"]["amount"] > "0", job["used_tokens"]) == ("succeeded", True, 0)


async def test_two_checks_of_one_data_set_at_once_both_end_well(api: Api, app: FastAPI, system: System) -> None:
    """Its report is that of the last; the other has handed in its own, too."""
    first = await order(api, {"kind": "check"})
    body = {"config": {"kind": "check"}, "dataset_id": first["dataset_id"], "customer_id": first["customer_id"]}
    second = await api.post("/jobs", body, expect=201)
    report = json.dumps({"figures": {}, "findings": [BLURRED]}).encode()
    async with (
        dispatched_worker(api, app, system, first["id"]) as one,
        worker_of(api, app, system, second["id"]) as other,
    ):
        for worker in (one, other):
            await worker.claim()
            await worker.put("report", report)
        for worker in (one, other):
            await worker.post("finish", outcome="succeeded", usage=[worker.interval(4)])


async def test_what_is_no_report_changes_nothing(api: Api, app: FastAPI, system: System) -> None:
    job = await order(api, {"kind": "check"})
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        refused = (await worker.put("report", b'{"figures": {}, "findings": [{"level": "x"}]}', expect=422)).json()
        assert "findings.0" in refused["detail"]
    assert (await api.get(f"/datasets/{job['dataset_id']}"))["checked_at"] is None


async def test_a_check_knows_few_keys_and_another_kind_is_told_the_known_ones(api: Api) -> None:
    customer = await make_ready_customer(api)
    for config, message in (
        ({"kind": "check", "epochs": 3}, "is no key of a job that checks data"),
        ({"kind": "cheque"}, "training or auto_label or check"),
    ):
        asked = {"config": config, "dataset_id": customer.dataset["id"]}
        assert message in (await api.post("/quotes", asked, expect=422))["detail"]
    await api.post("/quotes", {"config": {"kind": "check"}, "dataset_id": customer.dataset["id"]}, expect=201)
