"""Forms ask the API: what they and addresses name stays within its place, whatever its letters are."""

import pytest

from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, make_customer, make_ready_customer, submit_job


@pytest.mark.parametrize("job_id", ["x%3Fa=b", "x%23y", "%0a", "x%0d%0ay", "%2e%2e", "%25zz"])
async def test_an_address_that_names_nothing_is_not_found(api: Api, job_id: str) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"]) as person:
        keys = await person.open("/console/keys")
        shown = await person.send(f"/console/jobs/{job_id}/cancel", {}, of=keys, expect=404)
        assert "There is no job" in shown.text


async def test_a_button_in_chinese_does_what_it_says(api: Api) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with sign_in_customer(api, customer.id, language="zh") as person:
        asked, path = await person.open(f"/console/jobs/{job_id}/stop"), f"/console/jobs/{job_id}/cancel"
        for _click in range(2):
            await person.send(path, {}, of=asked, form=f"form[action='{path}']")
        assert (await api.get(f"/jobs/{job_id}"))["status"] == "cancelled"


async def test_a_key_and_an_id_of_any_letters_are_sent_on(api: Api) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"]) as person:
        keys = await person.open("/console/keys")
        shown = await person.send("/console/jobs/stop", {"idempotency_key": "停止", "id": "作业"}, of=keys, expect=404)
        assert "There is no job 作业" in shown.text
