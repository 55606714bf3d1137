"""A check of a data set from its page: a price, a job, and the report with the pictures that it names."""

import json

from fastapi import FastAPI

from broker.system import System
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, make_ready_customer
from tests.broker.picture_files import draw_picture, upload_pictures
from tests.broker.worker_calls import dispatched_worker

CAPTIONS = {"a.txt": "an oak lamp", "b.txt": "a red kettle"}
FILES = {"a.png": draw_picture(number=1), "b.png": draw_picture(number=2), **CAPTIONS}
BLURRED = {"file": "b.png", "line": None, "level": "warning", "message": "looks blurred", "cure": "take a sharp one"}


async def test_a_check_is_priced_submitted_and_its_report_has_the_pictures(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api)
    dataset = await upload_pictures(api, customer.id, FILES)
    path = f"/console/datasets/{dataset['id']}"
    order = {"base_model": "sd-1.5", "dataset_id": dataset["id"], "step": "quote"}
    async with sign_in_customer(api, customer.id) as person:
        new = await person.open("/console/jobs/new")
        priced = await person.send("/console/jobs/new", order, of=new, form="#new-job", expect=200)
        assert f"{path}/check" in priced.attributes("#quote a", "href"), "data are checked before they are paid for"
        page = await person.open(f"{path}/check")
        wrong = {"default_caption": "x" * 3_000, "step": "quote"}
        refused = await person.send(f"{path}/check", wrong, of=page, form=".order", expect=422)
        assert refused.words_of("#f-default_caption-error") != []
        quoted = await person.send(f"{path}/check", {"step": "quote"}, of=page, form=".order", expect=200)
        assert "2 pictures, on" in quoted.find(".quote")
        await person.send(f"{path}/check", {"step": "submit"}, of=quoted, form=".order")
        job = (await api.get("/jobs"))["data"][0]
        assert (job["kind"], job["quote_id"]) == ("check", quoted.hidden(".order")["quote_id"])
        report = json.dumps({"figures": {}, "findings": [BLURRED]}).encode()
        async with dispatched_worker(api, app, system, job["id"]) as worker:
            await worker.claim()
            await worker.put("report", report)
            await worker.post("finish", outcome="succeeded", usage=[worker.interval(4)])
        done = await person.open(f"/console/jobs/{job['id']}")
        assert f"{path}#findings" in done.attributes(".acts a", "href")
        checked = await person.open(path)
        assert "looks blurred; take a sharp one" in checked.find("#findings")
        (picture,) = checked.attributes("#findings img", "src")
        assert (await person.http.get(picture)).headers["content-type"] == "image/jpeg"
        priced = await person.send("/console/jobs/new", order, of=new, form="#new-job", expect=200)
        assert f"{path}/check" not in priced.attributes("#quote a", "href")
