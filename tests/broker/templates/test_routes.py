"""Templates over REST: made, given versions, filled in by quotes and jobs, taken out of use."""

from typing import Any

from tests.broker.factories import CONFIG as QUOTABLE
from tests.broker.factories import Api, Customer, customer_api, make_customer, make_ready_customer

CONFIG = {**QUOTABLE, "lora_rank": 8}
MAY_CHANGE = {"lora_rank": {"one_of": [4, 8, 16]}, "epochs": {"at_least": 1, "at_most": 3}}


async def make_project(own: Api, name: str = "brand") -> str:
    return str((await own.post("/projects", {"name": name}, expect=201))["id"])


async def make_template(own: Api, project_id: str, **fields: Any) -> dict[str, Any]:
    body = {"project_id": project_id, "name": "template_brand", "config": CONFIG, "may_change": MAY_CHANGE, **fields}
    made: dict[str, Any] = await own.post("/templates", body, expect=201)
    return made


def order(customer: Customer, **fields: Any) -> dict[str, Any]:
    return {"dataset_id": customer.dataset["id"], "template": "template_brand", "config": {}, **fields}


def told(problem: dict[str, Any]) -> dict[str, str]:
    return {each["field"]: each["message"] for each in problem["errors"]}


async def test_a_job_is_made_from_a_template_and_says_so(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        project = await make_project(own)
        template = await make_template(own, project)
        plain = await own.post("/jobs", order(customer), expect=201)
        assert (plain["template"], plain["template_id"]) == ("template_brand@1", template["id"])
        assert (plain["project_id"], plain["config"]["lora_rank"]) == (project, CONFIG["lora_rank"])
        changed = await own.post("/jobs", order(customer, config={"lora_rank": 4}), expect=201)
        assert changed["config"] == {**plain["config"], "lora_rank": 4}
        assert (await own.get(f"/jobs/{changed['id']}"))["template"] == "template_brand@1"
        by_hand = await own.post("/jobs", {**order(customer), "template": None, "config": CONFIG}, expect=201)
        assert (by_hand["template"], by_hand["project_id"]) == (None, None)


async def test_a_quote_of_a_template_is_good_for_the_job(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        await make_template(own, await make_project(own))
        quote = await own.post("/quotes", order(customer, config={"epochs": 1}), expect=201)
        assert quote["config"]["epochs"] == 1
        job = await own.post("/jobs", order(customer, config={"epochs": 1}, quote_id=quote["id"]), expect=201)
        assert job["quote_id"] == quote["id"]
    staff = await api.post("/quotes", order(customer), expect=201)
    assert staff["customer_id"] == customer.id


async def test_what_a_template_does_not_allow_is_refused_by_name(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        await make_template(own, await make_project(own))
        for path in ("/quotes", "/jobs"):
            problem = await own.post(path, order(customer, config={"lora_rank": 5, "batch_size": 64}), expect=422)
            assert told(problem) == {
                "config.lora_rank": "must be one of 4, 8, 16 in jobs of this template",
                "config.batch_size": "the template does not let a job change it; it may change epochs, lora_rank",
            }
        batch = {**order(customer), "configs": [{}, {"epochs": 9}]}
        problem = await own.post("/jobs/batch", {k: v for k, v in batch.items() if k != "config"}, expect=422)
        assert told(problem) == {"configs.1.epochs": "must be a number from 1 to 3 in jobs of this template"}
        assert (await own.get("/jobs"))["data"] == []


async def test_a_sweep_of_a_template_has_a_job_for_each_change(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        await make_template(own, await make_project(own))
        batch = {"dataset_id": customer.dataset["id"], "template": "template_brand", "configs": [{}, {"lora_rank": 16}]}
        made = (await own.post("/jobs/batch", batch, expect=201))["data"]
        assert [job["config"]["lora_rank"] for job in made] == [CONFIG["lora_rank"], 16]
        assert {job["template"] for job in made} == {"template_brand@1"}


async def test_versions_stay_and_the_newest_is_meant(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        template = await make_template(own, await make_project(own))
        path = f"/templates/{template['id']}"
        second = {"config": {**CONFIG, "epochs": 2}, "note": "longer"}
        grown = await own.post(f"{path}/versions", second, expect=201)
        assert (grown["newest"]["version"], grown["newest"]["note"]) == (2, "longer")
        assert [each["version"] for each in (await own.get(f"{path}/versions"))["data"]] == [2, 1]
        assert (await own.get(f"{path}/versions/1"))["may_change"] == MAY_CHANGE
        newest = await own.post("/jobs", order(customer), expect=201)
        first = await own.post("/jobs", order(customer, template=f"{template['id']}@1"), expect=201)
        assert (newest["template"], newest["config"]["epochs"]) == ("template_brand@2", 2)
        assert (first["template"], first["config"]["epochs"]) == ("template_brand@1", CONFIG["epochs"])
        problem = await own.post("/jobs", order(customer, template="template_brand@3"), expect=404)
        assert "template_brand@3" in problem["detail"]


async def test_an_archived_template_makes_no_new_job(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        template = await make_template(own, await make_project(own))
        await own.call("PATCH", f"/templates/{template['id']}", json={"archived": True}, expect=200)
        problem = await own.post("/jobs", order(customer), expect=422)
        assert told(problem) == {"template": "template_brand is archived; take it back into use, or name another"}
        assert (await own.get("/templates"))["data"] == []
        assert [each["id"] for each in (await own.get("/templates", archived=True))["data"]] == [template["id"]]
        back = await own.call("PATCH", f"/templates/{template['id']}", json={"archived": False}, expect=200)
        assert back.json()["archived_at"] is None
        await own.post("/jobs", order(customer), expect=201)


async def test_a_name_in_two_projects_asks_for_the_project(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        first, second = await make_project(own, "one"), await make_project(own, "two")
        await make_template(own, first)
        await make_template(own, second)
        problem = await own.post("/jobs", order(customer), expect=422)
        assert told(problem)["project_id"].startswith("template_brand is in several projects: say one of ")
        assert (await own.post("/jobs", order(customer, project_id=second), expect=201))["project_id"] == second
        taken = {"project_id": first, "name": "template_brand", "config": CONFIG}
        problem = await own.post("/templates", taken, expect=409)
        assert problem["type"] == "/problems/name-taken"


async def test_what_cannot_be_a_template_is_refused(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    async with customer_api(api, customer) as own:
        project = await make_project(own)
        body = {"project_id": project, "name": "t", "config": {**CONFIG, "lora_rnk": 8, "train_data_dir": "./x"}}
        fields = told(await own.post("/templates", body, expect=422))
        assert "lora_rank" in fields["config.lora_rnk"]
        wrong = {"lora_rank": {"at_most": 4}, "train_data_dir": {}, "nothing": {}}
        fields = told(await own.post("/templates", {**body, "config": CONFIG, "may_change": wrong}, expect=422))
        assert fields == {
            "may_change.lora_rank": f"leaves out the template's own value, {CONFIG['lora_rank']}",
            "may_change.train_data_dir": "is no key of a job's configuration",
            "may_change.nothing": "is no key of a job's configuration",
        }
        upside_down = {"epochs": {"at_least": 3, "at_most": 1}}
        await own.post("/templates", {**body, "config": CONFIG, "may_change": upside_down}, expect=422)
        await own.post("/templates", {**body, "config": CONFIG, "name": "tpl_mine"}, expect=422)
        assert (await own.get("/templates"))["data"] == []


async def test_a_key_of_projects_makes_and_uses_templates_there_alone(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        ours, theirs = await make_project(own, "ours"), await make_project(own, "theirs")
        await make_template(own, theirs, name="secret")
        member = {"name": "member", "confined_to_projects": True}
        key = await own.post(f"/customers/{customer.id}/api-keys", member, expect=201)
        await own.call("PUT", f"/projects/{ours}/members/{key['id']}", json={"role": "member"}, expect=200)
    async with Api.connect(api.app, key["key"]) as confined:
        await make_template(confined, ours)
        assert (await confined.post("/jobs", order(customer), expect=201))["project_id"] == ours
        problem = await confined.post("/jobs", order(customer, template="secret"), expect=422)
        assert told(problem) == {"template": "there is no template secret"}
        await confined.post("/templates", {"project_id": theirs, "name": "t", "config": CONFIG}, expect=403)
