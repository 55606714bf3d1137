"""Many configurations quoted at once: each answer is that of a single quote, and one refusal stops no other."""

from typing import Any

from tests.broker.factories import CONFIG, Api, make_ready_customer

MADE_ANEW = ("id", "created_at", "expires_at")


def compare(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name not in MADE_ANEW}


async def test_each_answer_is_that_of_a_single_quote_in_the_order_asked(api: Api) -> None:
    dataset_id = (await make_ready_customer(api)).dataset["id"]
    configs = [{**CONFIG, "epochs": epochs} for epochs in (3, 1, 2)]
    singles = [await api.post("/quotes", {"config": each, "dataset_id": dataset_id}, expect=201) for each in configs]
    answers = (await api.post("/quotes/batch", {"configs": configs, "dataset_id": dataset_id}))["data"]
    assert [compare(answer["quote"]) for answer in answers] == [compare(single) for single in singles]
    assert {answer["problem"] for answer in answers} == {None}
    kept = [await api.get(f"/quotes/{answer['quote']['id']}") for answer in answers]
    assert kept == [answer["quote"] for answer in answers]


async def test_wrong_configuration_has_its_problem_on_its_own_line(api: Api) -> None:
    dataset_id = (await make_ready_customer(api)).dataset["id"]
    wrong = {**CONFIG, "lora_rnk": 8}
    refused = await api.call("POST", "/quotes", json={"config": wrong, "dataset_id": dataset_id})
    body = {"configs": [wrong, CONFIG], "dataset_id": dataset_id}
    first, second = (await api.post("/quotes/batch", body))["data"]
    assert first == {"quote": None, "problem": refused.json()}
    assert second["quote"]["estimate"]["tokens"] > 0


async def test_pictures_model_on_text_is_a_problem_of_its_own_line(api: Api) -> None:
    dataset_id = (await make_ready_customer(api)).dataset["id"]
    configs = [{"base_model": "sd-1.5"}, CONFIG]
    first, second = (await api.post("/quotes/batch", {"configs": configs, "dataset_id": dataset_id}))["data"]
    assert first["problem"]["errors"][0]["field"] == "dataset_id"
    assert second["quote"] is not None


async def test_one_to_a_hundred_configurations(api: Api) -> None:
    dataset_id = (await make_ready_customer(api)).dataset["id"]
    for count, status in ((0, 422), (100, 200), (101, 422)):
        body = {"configs": [CONFIG] * count, "dataset_id": dataset_id}
        assert (await api.call("POST", "/quotes/batch", json=body)).status_code == status


async def test_batch_sent_again_with_its_key_makes_no_further_quote(api: Api) -> None:
    dataset_id = (await make_ready_customer(api)).dataset["id"]
    body, headers = {"configs": [CONFIG, CONFIG], "dataset_id": dataset_id}, {"Idempotency-Key": "sweep-1"}
    first, again = [await api.call("POST", "/quotes/batch", json=body, headers=headers) for _ in range(2)]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
