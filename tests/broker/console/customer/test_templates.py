"""Pages of templates: made of YAML, given versions, taken out of use; a job of one changes what it may."""

import pytest

from broker.console.customer.template_form import FieldUnreadable, read_content, write_content
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, customer_api, make_ready_customer

MODEL = "smollm2-135m-instruct"
CONFIG = f"base_model: {MODEL}\nlora_rank: 8\nepochs: 2\nlearning_rate: 3e-3\n"
BOUNDS = "epochs: {at_least: 1, at_most: 3}\nlora_rank: [4, 8]\nseed:\n"


def test_bounds_are_read_as_people_write_them_and_written_so() -> None:
    told = read_content({"config": CONFIG, "may_change": BOUNDS, "note": " first "})
    bounds = {"epochs": {"at_least": 1, "at_most": 3}, "lora_rank": {"one_of": [4, 8]}, "seed": {}}
    assert told == {
        "config": {"base_model": MODEL, "lora_rank": 8, "epochs": 2, "learning_rate": "3e-3"},
        "may_change": bounds,
        "note": "first",
    }
    assert read_content(write_content(told["config"], bounds)) == {key: told[key] for key in ("config", "may_change")}
    assert read_content({"config": CONFIG, "may_change": "[seed]"})["may_change"] == {"seed": {}}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"config": "a: 1\na: 2\n"}, "config", "'a' is written twice, on line 1 and on line 2"),
        ({"config": "just words"}, "config", "must be keys with their values"),
        ({"config": CONFIG, "may_change": "seed"}, "may_change", "must be keys"),
    ],
)
def test_what_is_no_yaml_of_its_kind_is_told_at_its_field(values: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(FieldUnreadable) as refused:
        read_content(values)
    assert words in refused.value.problem.errors[field]


async def test_a_template_is_made_changed_used_and_taken_out_of_use(api: Api) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        project = (await own.post("/projects", {"name": "brand"}, expect=201))["id"]
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open("/console/templates")
        fields = {"name": "template_brand", "project_id": project, "config": CONFIG, "may_change": BOUNDS, "note": ""}
        refused = await person.send(
            "/console/templates",
            {**fields, "config": f"{CONFIG}lora_rnk: 1"},
            of=page,
            form="#template-form",
            expect=422,
        )
        assert "config.lora_rnk" in refused.find("#template-form")
        made = await person.send("/console/templates", fields, of=page, form="#template-form")
        address = made.response.headers["location"]
        shown = await person.open(address)
        assert shown.words_of("h1") == ["template_brand@1"]
        next_one = {"config": CONFIG.replace("epochs: 2", "epochs: 3"), "may_change": BOUNDS, "note": "longer"}
        await person.send(f"{address}/versions", next_one, of=shown, form="#version-form")
        assert (await person.open(address)).words_of("h1") == ["template_brand@2"]
        form = await person.open(f"/console/jobs/new?template={address.rpartition('/')[2]}")
        assert "template_brand@2" in form.find("#basics")
        order = {**form.hidden("#new-job"), "base_model": MODEL, "dataset_id": customer.dataset["id"]}
        order |= {"config.lora_rank": "4", "config.epochs": "3", "config.learning_rate": "3e-3", "project_id": project}
        sent = await person.send("/console/jobs/new", order, of=form, form="#new-job")
        job = await person.open(sent.response.headers["location"])
        assert "template_brand@2" in job.text
        await person.send(f"{address}/archive", {}, of=await person.open(address), form="form[action$=archive]")
        assert "template_brand" not in (await person.open("/console/templates")).find("#templates")
        assert "template_brand" in (await person.open("/console/templates?archived=true")).find("#templates")
