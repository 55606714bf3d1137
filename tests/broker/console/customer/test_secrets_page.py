"""Secrets on their pages: kept, named by a new job, told when a run was given one, replaced, removed; shown never."""

from fastapi import FastAPI

from broker.system import System
from tests.broker.console.people import sign_in_customer
from tests.broker.customer_secrets.test_routes import claim
from tests.broker.factories import CONFIG, Api, make_ready_customer

PAGE, KEY = "/console/secrets", "a-key-that-nobody-sees"


async def test_a_key_is_kept_named_by_a_job_replaced_and_removed(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    fields = {"name": "wandb-team", "kind": "wandb", "key": KEY}
    order = {"base_model": CONFIG["base_model"], "dataset_id": customer.dataset["id"]}
    told = order | {"tracker.secret": "wandb-team", "tracker.project": "styles"}
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open(PAGE)
        assert page.state_of("secrets") == "never"
        bad = {**fields, "name": "two words"}
        refused = await person.send(PAGE, bad, of=page, form="#secret-form", expect=422)
        assert (refused.words_of("#f-name-error") != [], KEY in refused.response.text) == (True, False)
        await person.send(PAGE, fields, of=page, form="#secret-form")
        assert "wandb-team Weights & Biases all projects not yet" in (await person.open(PAGE)).find("#secrets tbody tr")
        new = await person.open("/console/jobs/new")
        assert new.attributes("#f-tracker\\.secret option", "value") == ["", "wandb-team"]
        await person.send("/console/jobs/new", told, of=new, form="#new-job")
        job = (await api.get("/jobs"))["data"][0]
        assert job["tracker"] == {"secret": "wandb-team", "project": "styles"}
        again = await person.open(f"/console/jobs/new?like={job['id']}")
        assert again.attributes("#f-tracker\\.secret option[selected]", "value") == ["wandb-team"]
        assert (await claim(app, system, job["id"], api))["key"] == KEY
        assert "not yet" not in (await person.open(PAGE)).find("#secrets tbody tr")
        (at,) = (await person.open(PAGE)).attributes("#secrets tbody a", "href")
        one = await person.open(at)
        moved = {"url": "https://elsewhere.example.com"}
        wrong = await person.send(f"{at}/replace", moved, of=one, form="#replace-form", expect=422)
        assert "is needed with another url" in wrong.find("#f-key-error")
        await person.send(f"{at}/replace", {"key": "another-key"}, of=one, form="#replace-form")
        replaced = await person.open(at)
        assert ("Replaced never" in replaced.text, "another-key" in replaced.text) == (False, False)
        await person.send(f"{at}/remove", {}, of=one, form=f"form[action='{at}/remove']")
        assert (await person.open(PAGE)).state_of("secrets") == "never"
