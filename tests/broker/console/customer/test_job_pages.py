"""A job's page and the list, from end to end: stopped, gone on with, compared, told why it waits and what is on us."""

from fastapi import FastAPI

from broker.system import System
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, customer_api, make_ready_customer, submit_job
from tests.broker.messages import listing_messages
from tests.broker.worker_calls import dispatched_worker


async def test_stopping_says_what_is_kept_and_charged_and_stops(api: Api) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open(f"/console/jobs/{job_id}")
        assert f"/console/jobs/{job_id}/stop" in page.attributes(".acts a", "href")
        asked = await person.open(f"/console/jobs/{job_id}/stop")
        assert "what it reserved and did not use" in asked.text
        assert "there is no checkpoint" in asked.text
        path = f"/console/jobs/{job_id}/cancel"
        await person.send(path, {}, of=asked, form=f"form[action='{path}']")
        assert "cancelled" in (await person.open(f"/console/jobs/{job_id}")).find("#head")
        refused = await person.send(path, {}, of=asked, form=f"form[action='{path}']", expect=303)
        assert refused.status == 303


async def test_a_running_job_shows_its_curve_samples_spend_and_log(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post(
            "heartbeats",
            progress={"step": 6, "total_steps": 12, "loss": 1.5},
            usage=[worker.interval(30, tokens=100)],
            losses=[{"first_step": 1, "step": 6, "mean": 2.0, "low": 1.5, "high": 7.5}],
            validations=[{"step": 6, "loss": 1.75}],
            samples=[{"step": 6, "prompt": "tea?", "text": "<b>calm</b>"}],
        )
        async with sign_in_customer(api, customer.id) as person:
            head = (await person.open(f"/console/jobs/{job_id}")).find("#head")
            assert "6 of 12 50 %" in head
            training = await person.open(f"/console/jobs/{job_id}", tab="training")
            assert training.tree.css("svg.losses polygon.band")
            assert "7.5000" in training.text
            assert training.words_of("blockquote") == ["<b>calm</b>"], "what a model says is no markup"
            assert training.attributes("#samples button", "aria-pressed") == ["false"]
            await person.send(f"/console/jobs/{job_id}/notes", {"pin_step": "6"}, of=training, form="#pin-form")
            pinned = await person.open(f"/console/jobs/{job_id}", tab="training")
            assert pinned.attributes("#samples button", "aria-pressed") == ["true"]
            assert "★ 6" in pinned.find("#samples p")
            await person.send(f"/console/jobs/{job_id}/notes", {"pin_step": "6"}, of=pinned, form="#pin-form")
            assert (await api.get(f"/jobs/{job_id}"))["pinned_steps"] == []
            none = await person.open(f"/console/jobs/{job_id}", tab="training", first="7")
            assert "Nothing was told of these steps." in none.find("#losses")
            log = await person.open(f"/console/jobs/{job_id}", part="log", tab="log", words="validated")
            assert log.words_of("ol.log b") == ["validated"]
            csv = await person.http.get(f"/console/jobs/{job_id}/losses.csv")
            assert "6,2.0,1.5,7.5,1.75" in csv.text
        await worker.finish("preempted")
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(f"/console/jobs/{job_id}")
        assert "queued" in shown.find("#head")
        assert "are on us: it had to make room" in shown.find("#cost")
        assert shown.state_of("waiting") == "ready"


async def test_jobs_are_chosen_compared_and_stopped_with_one_question(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        config = {"base_model": "smollm2-135m-instruct", "epochs": 1, "lora_rank": 4}
        ids = [
            (await submit_job(own, customer.dataset["id"], name="one"))["id"],
            (await submit_job(own, customer.dataset["id"], name="two", config=config))["id"],
        ]
    async with sign_in_customer(api, customer.id) as person:
        listed = await person.open("/console/jobs", search="ONE")
        assert listed.words_of("table.rows tbody td:nth-child(2)") == ["one"]
        assert (await person.open("/console/jobs", search="three")).state_of("jobs") == "none_match"
        chosen = await person.open(f"/console/jobs/chosen?act=stop&id={ids[0]}&id={ids[1]}", expect=303)
        asked = await person.open(chosen.response.headers["location"])
        compared = await person.open("/console/jobs/compare", ids=",".join(ids))
        assert "lora_rank" in compared.text
        fields = {**asked.hidden("#form"), "id": ids}
        sent = await person.http.post("/console/jobs/stop", data=fields)
        assert sent.status_code == 303
        counts = await person.open("/console/jobs", status="cancelled")
        assert len(counts.words_of("table.rows tbody tr")) == 2


async def test_pages_take_as_many_statements_for_many_jobs_as_for_one(api: Api, monkeypatch) -> None:
    customer = await make_ready_customer(api)
    paths = (
        "/console/",
        "/console/jobs",
        "/console/billing",
        "/console/datasets",
        "/console/adapters",
        "/console/keys",
        "/console/jobs?order=pinned&search=x",
        "/console/jobs/new",
        "/console/jobs/compare",
        *(f"/console/billing?tab={tab}" for tab in ("grants", "bills", "fapiao", "contracts", "budgets", "ledger")),
    )
    async with customer_api(api, customer.id) as own, sign_in_customer(api, customer.id) as person:
        counted = []
        for more in (1, 5):
            for _ in range(more):
                job = await submit_job(own, customer.dataset["id"])
            told = []
            of_job = [f"/console/jobs/{job['id']}?tab={tab}" for tab in ("overview", "training", "lines", "log")]
            for path in (*paths, *of_job, f"/console/jobs/new?like={job['id']}"):
                await person.open(path)
                with listing_messages(monkeypatch) as messages:
                    await person.open(path)
                told.append((path.replace(job["id"], ""), len(messages)))
            counted.append(told)
    assert counted[0] == counted[1]
    assert max(number for _path, number in counted[0]) <= 40, counted


async def test_a_live_job_is_followed_and_one_that_is_over_is_not(api: Api) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(f"/console/jobs/{job_id}")
        assert shown.tree.css("#live")
        followed = {"X-Console-Parts": "head,waiting,cost,runs"}
        first, second = [await person.http.get(f"/console/jobs/{job_id}", headers=followed) for _ in range(2)]
        assert first.json() == second.json(), "what stays as it is is not sent again"
        assert 'id="waiting"' in first.json()["waiting"]
        await api.post(f"/jobs/{job_id}/cancel")
        assert not (await person.open(f"/console/jobs/{job_id}")).tree.css("#live")
