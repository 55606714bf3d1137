"""New job from end to end: the price follows the form, what is wrong stands at its field, submitting happens once."""

from typing import Any

from broker.console.customer.new_job_form import NewJob, open_job
from pricing.training.config import TrainingConfig
from tests.broker.console.people import Person, Shown, sign_in_customer
from tests.broker.factories import Api, customer_api, make_ready_customer

MODEL = "smollm2-135m-instruct"
PATH = "/console/jobs/new"


async def price(person: Person, shown: Shown, expect: int = 200, **fields: str) -> Shown:
    """Ask for the price as the page's script does."""
    headers = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "aside#quote"}
    sent = {**shown.hidden("#new-job"), "step": "quote", **fields}
    response = await person.http.post(PATH, data=sent, headers=headers)
    assert response.status_code == expect, response.text
    return Shown(response)


async def test_the_button_says_what_it_reserves_and_a_double_click_submits_once(api: Api) -> None:
    customer = await make_ready_customer(api)
    order = {"base_model": MODEL, "dataset_id": customer.dataset["id"], "preset": "quick", "max_cost": "", "sku": ""}
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(PATH)
        assert shown.words_of("#f-dataset_id option")[1].startswith(customer.dataset["name"])
        quoted = await price(person, shown, **order)
        assert not quoted.tree.css("h1"), "the panel alone is sent"
        quote_id = quoted.attributes("input[name=quote_id]", "value")[0]
        high = (await api.get(f"/quotes/{quote_id}"))["prices"][0]["total_p90"]["amount"]
        assert quoted.words_of("button") == [f"Reserve ¥{high} and submit"]
        assert "Any that fits" in quoted.text
        order["quote_id"] = quote_id
        sent = [await person.send(PATH, order, of=shown, form="#new-job") for _ in range(2)]
        assert sent[0].response.headers["location"] == sent[1].response.headers["location"]
        job = await person.open(sent[0].response.headers["location"])
        assert "queued" in job.find("#head")
    async with customer_api(api, customer.id) as own:
        (made,) = (await own.get("/jobs"))["data"]
    assert made["quote_id"] == quote_id
    assert made["config"]["epochs"] == 1


async def test_what_is_wrong_stands_at_its_field_and_what_was_written_stays(api: Api) -> None:
    customer = await make_ready_customer(api)
    order = {"base_model": MODEL, "dataset_id": customer.dataset["id"], "preset": "quick", "config.lora_rank": "0"}
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(PATH)
        quoted = await price(person, shown, **order)
        assert "config.lora_rank" in quoted.find("#quote")
        refused = await person.send(PATH, order, of=shown, form="#new-job", expect=422)
        field = refused.tree.css_first("#f-config\\.lora_rank")
        assert field is not None
        assert field.attributes["value"] == "0"
        assert field.attributes["aria-invalid"] == "true"
        assert refused.tree.css("details[open]")


async def test_a_budget_cap_and_a_job_of_before_fill_the_form(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(PATH)
        order = {"base_model": MODEL, "dataset_id": customer.dataset["id"], "preset": "balanced", "name": "tone"}
        quoted = await price(person, shown, **order, max_cost="0.000001")
        assert quoted.words_of("button") == ["Reserve ¥0.000001 and submit"]
        assert "below the highest price" in quoted.text
        sent = await person.send(PATH, {**order, "config.lora_rank": "4"}, of=shown, form="#new-job")
        job_id = sent.response.headers["location"].rpartition("/")[2]
        again = await person.open(PATH, like=job_id)
        assert again.attributes("#f-name", "value") == ["tone"]
        assert again.attributes("#f-config\\.lora_rank", "value") == ["4"]
        assert again.attributes("#f-dataset_id option[selected]", "value") == [customer.dataset["id"]]


def test_a_job_that_is_run_again_is_the_same_job() -> None:
    """The first preset once changed what the job had as it is by default: fewer epochs, a share held out."""
    config = {"base_model": MODEL, "lora_rank": 4, "epochs": 10}
    again = NewJob(open_job({"config": config, "dataset_id": "dat_01k"}), is_text=True, time_zone="UTC")
    assert TrainingConfig(**again.config) == TrainingConfig(**config)


def test_what_is_written_wins_over_the_preset_also_where_it_is_usual() -> None:
    job = NewJob({"base_model": MODEL, "preset": "balanced", "config.epochs": "10"}, is_text=True, time_zone="UTC")
    assert job.config == {"base_model": MODEL, "epochs": 10, "lora_rank": 8, "validation_split": 0.1}


async def test_another_model_has_the_fields_of_its_family(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(PATH)
        models: list[Any] = shown.attributes("#f-base_model option", "value")
        pictures = next(model for model in models if "stable" in model or "sd" in model)
        headers = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#basics"}
        for model, there, away in ((MODEL, "max_length", "resolution"), (pictures, "resolution", "max_length")):
            sent = {**shown.hidden("#new-job"), "step": "fields", "base_model": model}
            part = Shown(await person.http.post(PATH, data=sent, headers=headers))
            assert part.tree.css(f"#f-config\\.{there}"), model
            assert not part.tree.css(f"#f-config\\.{away}"), model
