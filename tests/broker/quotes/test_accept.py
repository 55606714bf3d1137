"""A quote is good for its own configuration and its own data only: by their hashes, which it shows."""

import hashlib
from typing import Any

from tests.broker.factories import (
    CONFIG,
    Api,
    customer_api,
    jsonl,
    make_ready_customer,
    submit_job,
    upload_dataset,
)


async def quote(api: Api, dataset_id: str, config: dict[str, Any] | None = None, **fields: Any) -> Any:
    return await api.post("/quotes", {"config": config or CONFIG, "dataset_id": dataset_id, **fields}, expect=201)


async def test_quote_shows_the_hashes_of_what_it_is_for(api: Api) -> None:
    customer = await make_ready_customer(api)
    made = await quote(api, customer.dataset["id"])
    again = await quote(api, customer.dataset["id"], {**CONFIG, "lora_rank": 8})
    other = await quote(api, customer.dataset["id"], {**CONFIG, "lora_rank": 16})
    assert made["dataset_sha256"] == customer.dataset["sha256"]
    assert len(made["config_hash"]) == hashlib.sha256().digest_size * 2
    assert made["config_hash"] == again["config_hash"], "a default written out is the same configuration"
    assert made["config_hash"] != other["config_hash"]


async def test_same_bytes_under_another_upload_are_the_quoted_data(api: Api) -> None:
    customer = await make_ready_customer(api)
    again = await upload_dataset(api, customer.id)
    async with customer_api(api, customer.id) as own:
        made = await quote(own, customer.dataset["id"])
        job = await submit_job(own, again["id"], quote_id=made["id"])
    assert (job["quote_id"], job["dataset_id"]) == (made["id"], again["id"])


async def test_other_bytes_or_another_configuration_are_refused(api: Api) -> None:
    customer = await make_ready_customer(api)
    other = await upload_dataset(api, customer.id, content=jsonl([{"prompt": "a", "completion": "b"}]))
    async with customer_api(api, customer.id) as own:
        made = await quote(own, customer.dataset["id"])
        wrong_data = await submit_job(own, other["id"], quote_id=made["id"], expect=409)
        changed = {**CONFIG, "epochs": 2}
        wrong_config = await submit_job(own, customer.dataset["id"], quote_id=made["id"], config=changed, expect=409)
        assert (await own.get("/jobs"))["data"] == []
    for problem, field in ((wrong_data, "dataset_id"), (wrong_config, "config")):
        assert (problem["type"], problem["errors"][0]["field"]) == ("/problems/quote-mismatch", field)


async def test_same_bytes_of_another_customer_are_not_the_quoted_data(api: Api) -> None:
    """An administrator sees both customers' data; the job would have trained on what is not its customer's."""
    mine, other = await make_ready_customer(api), await make_ready_customer(api)
    assert mine.dataset["sha256"] == other.dataset["sha256"]
    made = await quote(api, mine.dataset["id"])
    await submit_job(api, other.dataset["id"], customer_id=mine.id, quote_id=made["id"], expect=409)


async def test_max_cost_tells_how_much_of_the_job_it_buys_on_the_customers_plan(api: Api) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    async with customer_api(api, customer.id) as own:
        plain = await quote(own, customer.dataset["id"], {**CONFIG, "epochs": 100})
        prices = {price["plan"]: price for price in plain["prices"]}
        half = f"{float(prices['prepaid']['total']['amount']) / 2:.2f}"
        made = await quote(own, customer.dataset["id"], {**CONFIG, "epochs": 100}, max_cost=half)
        assert await own.get(f"/quotes/{made['id']}") == made
    assert plain["max_cost_buys"] is None
    buys = made["max_cost_buys"]
    assert (buys["plan"], buys["contract_id"]) == ("prepaid", customer.contract["id"])
    assert buys["max_cost"] == {"amount": half, "currency": "CNY"}
    total = made["estimate"]["steps"]
    assert 0 < buys["p90"]["steps"] < buys["p50"]["steps"] < total
    assert abs(buys["p50"]["steps"] - total / 2) <= 0.03 * total
    assert abs(float(buys["p50"]["epochs"]) - 50) <= 3
    assert float(buys["p50"]["cost"]["amount"]) <= float(half)


async def test_max_cost_above_the_price_buys_the_whole_job(api: Api) -> None:
    customer = await make_ready_customer(api)
    made = await quote(api, customer.dataset["id"], max_cost="1000")
    for part in (made["max_cost_buys"]["p50"], made["max_cost_buys"]["p90"]):
        assert (part["steps"], part["epochs"], part["percent"]) == (made["estimate"]["steps"], "1.00", "100.00")
    assert made["max_cost_buys"]["p50"]["cost"]["amount"] < made["max_cost_buys"]["p90"]["cost"]["amount"]


async def test_max_cost_buys_at_the_prices_of_the_contract_that_is_named(api: Api) -> None:
    customer = await make_ready_customer(api)
    long_term = {"customer_id": customer.id, "plan": "long_term", "committed_gpu_hours": 2000}
    second = await api.post("/contracts", long_term, expect=201)
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"], "max_cost": "0.05"}
    problem = await api.post("/quotes", body, expect=409)
    assert problem["errors"][0]["field"] == "contract_id"
    made = await api.post("/quotes", {**body, "contract_id": second["id"]}, expect=201)
    assert made["max_cost_buys"]["plan"] == "long_term"


async def test_max_cost_that_is_no_sum_of_money_is_refused(api: Api) -> None:
    customer = await make_ready_customer(api)
    for max_cost in ("0", "-1", "NaN", "0.0000001", "1e30"):
        body = {"config": CONFIG, "dataset_id": customer.dataset["id"], "max_cost": max_cost}
        problem = await api.post("/quotes", body, expect=422)
        assert problem["errors"][0]["field"] == "max_cost", max_cost
