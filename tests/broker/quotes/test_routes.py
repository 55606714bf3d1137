"""Quotes over the API: tokens to the last one, prices of every plan, calibrated by one's own jobs only."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from broker.estimator.service import learn
from broker.jobs.tables import Job
from broker.processes.boot import DatabaseUrls
from broker.quotes.counts.text import count_row_lengths
from broker.system import System
from pricing.catalog import get_base_model
from pricing.datasets.text_rows import parse_text_files
from tests.broker.conftest import ManualClock
from tests.broker.factories import (
    CONFIG,
    Api,
    customer_api,
    dispatch,
    jsonl,
    make_customer,
    make_ready_customer,
    submit_job,
    upload_dataset,
)
from tests.broker.rows import owner_connection
from tests.broker.tenants import finish_job

EXAMPLES = Path(__file__).parents[3] / "examples"
TEMPLATE = EXAMPLES / "template_smollm2.yaml"
EXAMPLE_TOKENS = 5398  # transformers' own count of examples/brand_tone with the model's chat template


async def quote(api: Api, dataset_id: str, **config: Any) -> Any:
    return await api.post("/quotes", {"config": {**CONFIG, **config}, "dataset_id": dataset_id}, expect=201)


async def test_tokens_of_the_example_are_counted_to_the_last_one(api: Api) -> None:
    customer = await make_customer(api)
    content = (EXAMPLES / "brand_tone" / "train.jsonl").read_bytes()
    dataset = await upload_dataset(api, customer["id"], content=content)
    made = await quote(api, dataset["id"], epochs=3, batch_size=4)
    assert made["estimate"]["rows"] == 68
    assert made["estimate"]["tokens"] == 3 * EXAMPLE_TOKENS
    assert made["estimate"]["steps"] == 3 * 17


async def test_template_of_the_examples_can_be_quoted_without_its_paths(api: Api) -> None:
    customer = await make_ready_customer(api)
    config = yaml.safe_load(TEMPLATE.read_text())
    own = {key: value for key, value in config.items() if key not in {"train_data_dir", "output_dir"}}
    made = await api.post("/quotes", {"config": own, "dataset_id": customer.dataset["id"]}, expect=201)
    assert {key: made["config"][key] for key in own} == own | {"learning_rate": float(own["learning_rate"])}


async def test_prices_are_those_of_the_plans_for_what_is_estimated(api: Api) -> None:
    customer = await make_ready_customer(api)
    made = await quote(api, customer.dataset["id"], epochs=1000)
    estimate = made["estimate"]
    rates = {"on_demand": ("6.8", "0.00012"), "prepaid": ("2.6", "0.000045"), "long_term": ("2", "0.00003")}
    assert [price["plan"] for price in made["prices"]] == list(rates)
    for price in made["prices"]:
        per_hour, per_token = (Decimal(rate) for rate in rates[price["plan"]])
        exact = {
            "gpu_cost": per_hour * estimate["gpu_seconds"]["p50"] / 3600,
            "gpu_cost_p90": per_hour * estimate["gpu_seconds"]["p90"] / 3600,
            "token_cost": per_token * estimate["tokens"],
        }
        exact["total"] = exact["gpu_cost"] + exact["token_cost"]
        exact["total_p90"] = exact["gpu_cost_p90"] + exact["token_cost"]
        for name, amount in exact.items():
            assert abs(Decimal(price[name]["amount"]) - amount) <= Decimal("0.01"), (price, name)
    assert estimate["gpu_seconds"]["p50"] < estimate["gpu_seconds"]["p90"]
    of = {price["plan"]: (price["contract_id"], price["rate_card_version"]) for price in made["prices"]}
    assert of["on_demand"] == (customer.contract["id"], "2026-01-01"), "what its contract charges"
    assert of["prepaid"] == of["long_term"] == (None, "half"), "what signing today would give"
    assert made["rate_card_version"] == "half"


async def test_quote_is_kept_as_it_was_made(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        made = await quote(own, customer.dataset["id"])
        clock.advance(hours=30)
        assert await own.get(f"/quotes/{made['id']}") == made
    assert (made["created_at"], made["expires_at"]) == ("2026-11-10T04:00:00Z", "2026-11-11T04:00:00Z")


async def test_rows_are_counted_anew_for_other_content_and_cut_anew_for_another_length(api: Api) -> None:
    """Row lengths are remembered by content: neither the name of the upload nor its owner matters, the bytes do."""
    customer = await make_customer(api)
    long = jsonl([{"prompt": "Write a line.", "completion": "tea " * 300}])
    short = jsonl([{"prompt": "Write a line.", "completion": "tea " * 3}])
    datasets = [await upload_dataset(api, customer["id"], content=content) for content in (long, short, long)]
    whole, few, again = [await quote(api, each["id"], max_length=512) for each in datasets]
    cut = await quote(api, datasets[0]["id"], max_length=128)
    profile = get_base_model("smollm2-135m-instruct")
    (length,) = count_row_lengths(parse_text_files([("train.jsonl", long)]).rows, profile)
    assert whole["estimate"]["tokens"] == again["estimate"]["tokens"] == length.whole
    assert few["estimate"]["tokens"] < cut["estimate"]["tokens"] == 128


async def test_estimates_learn_from_jobs_that_finished(api: Api, system: System) -> None:
    """A job that took far longer than expected moves the next quote, which names the calibration it was made with."""
    mine = await make_ready_customer(api)
    before = (await quote(api, mine.dataset["id"]))["estimate"]
    job = await submit_job(api, mine.dataset["id"], customer_id=mine.id)
    await dispatch(system)
    await finish_job(api, system, job["id"], gpu_seconds=before["gpu_seconds"]["p50"] * 4)
    assert (await quote(api, mine.dataset["id"]))["estimate"] == before
    assert await learn(system) is not None
    after = (await quote(api, mine.dataset["id"]))["estimate"]
    assert (before["calibration"], after["calibration"]) == ("published", "1")
    assert after["gpu_seconds"]["p50"] > before["gpu_seconds"]["p50"]
    assert after["tokens"] == before["tokens"]


async def test_checks_learn_from_checks_and_trainings_from_trainings(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    check = {"config": {"kind": "check"}, "dataset_id": customer.dataset["id"]}
    training = (await quote(api, customer.dataset["id"]))["estimate"]
    before = (await api.post("/quotes", check, expect=201))["estimate"]
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    await finish_job(api, system, job["id"], gpu_seconds=training["gpu_seconds"]["p50"] * 4)
    async with system.work() as work:
        row = await work.session.get_one(Job, job["id"])
        row.estimate = replace(row.estimate, kind=row.estimate.kind._replace(family="check"))
    assert await learn(system) is not None
    after = (await quote(api, customer.dataset["id"]))["estimate"]
    assert after["gpu_seconds"] == training["gpu_seconds"]
    checked = (await api.post("/quotes", check, expect=201))["estimate"]
    assert (before["calibration_runs"], after["calibration_runs"], checked["calibration_runs"]) == (0, 0, 1)
    assert checked["gpu_seconds"]["p50"] > before["gpu_seconds"]["p50"]
    assert checked["uncertain"][0].startswith("card without enough runs: 1 finished runs")


async def test_nothing_is_learnt_twice(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    await finish_job(api, system, job["id"], gpu_seconds=100)
    assert (await learn(system)) is not None
    assert (await learn(system)) is None


async def test_unfinished_and_cancelled_jobs_teach_nothing(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await api.post(f"/jobs/{job['id']}/cancel")
    assert await learn(system) is None


async def test_worked_month_is_exact(api: Api, clock: ManualClock) -> None:
    clock.advance(days=-7)  # before the second card
    month = await api.get("/plan-comparison", gpu_hours=30, tokens=50_000, runs=20)
    assert [(row["plan"], row["total"]["amount"], row["saving_percent"]) for row in month["data"]] == [
        ("on_demand", "4200.00", "0.00"),
        ("prepaid", "3210.00", "23.57"),
        ("long_term", "2460.00", "41.43"),
    ]
    assert month["data"][2]["yearly_saving"] == {"amount": "20880.00", "currency": "CNY"}


async def test_nothing_used_costs_nothing_and_saves_nothing(api: Api, clock: ManualClock) -> None:
    clock.advance(days=-7)  # before the second card
    nothing = await api.get("/plan-comparison", gpu_hours=0, tokens=0)
    assert {row["total"]["amount"] for row in nothing["data"]} == {"0.00"}
    most = await api.get("/plan-comparison", gpu_hours=1_000_000, tokens=10**12, runs=100_000)
    assert most["data"][0]["total"]["amount"] == "12680000000000.00"


BAD_ROWS = b'{"prompt": "only a prompt"}\n{"prompt": \n'


async def test_rows_that_cannot_be_used_stop_the_submission_unless_they_are_to_be_skipped(api: Api) -> None:
    """A file with such rows was quoted, trained and billed on the rest, without a word."""
    customer = await make_ready_customer(api)
    dataset = await upload_dataset(api, customer.id, content=BAD_ROWS + jsonl())
    assert dataset["finding_counts"] == {"error": 2, "warning": 0, "hint": 0}
    for path in ("/quotes", "/jobs"):
        body = {"config": CONFIG, "dataset_id": dataset["id"]} | (
            {"customer_id": customer.id} if path == "/jobs" else {}
        )
        refused = await api.post(path, body, expect=422)
        assert refused["type"] == "/problems/dataset-unusable"
        named = [error["field"] for error in refused["errors"]]
        assert named == ["config.skip_bad_rows", "files.train.jsonl:1", "files.train.jsonl:2"]
        assert "train.jsonl:1: prompt and completion are both needed" in refused["detail"]
        assert "; 1 more cannot be used; set it to true to train without these" in refused["detail"]
    made = await quote(api, dataset["id"], skip_bad_rows=True)
    good = await quote(api, customer.dataset["id"])
    assert made["estimate"]["tokens"] == good["estimate"]["tokens"], "quoted are the rows that train"
    said = made["findings"]
    assert (said["error"], said["left_out"], [found["line"] for found in said["first"]]) == (2, 2, [1, 2])
    assert (good["findings"]["error"], good["findings"]["left_out"], good["findings"]["first"]) == (0, 0, [])
    assert await api.get(f"/quotes/{made['id']}") == made
    batch = {"configs": [CONFIG, {**CONFIG, "skip_bad_rows": True}], "dataset_id": dataset["id"]}
    first, second = (await api.post("/quotes/batch", batch))["data"]
    assert (first["problem"]["type"], second["problem"]) == ("/problems/dataset-unusable", None)


async def test_share_of_bad_rows_that_its_customer_tolerates_is_left_out(api: Api) -> None:
    """Two of eight rows cannot be used: a quarter."""
    await make_ready_customer(api)
    rows = [{"prompt": "a", "completion": str(number)} for number in range(6)] + [{"prompt": "a"}] * 2
    dataset = await upload_dataset(api, (await api.get("/customers"))["data"][0]["id"], content=jsonl(rows))
    body = {"config": {**CONFIG, "max_bad_share": 0.24}, "dataset_id": dataset["id"]}
    refused = await api.post("/quotes", body, expect=422)
    assert refused["errors"][0]["field"] == "config.max_bad_share"
    assert "raise it, or set skip_bad_rows: true, to train without these" in refused["errors"][0]["message"]
    made = await quote(api, dataset["id"], max_bad_share=0.25)
    assert (made["findings"]["error"], made["findings"]["left_out"]) == (2, 2)
    beyond = {"config": {**CONFIG, "max_bad_share": 1.5}, "dataset_id": dataset["id"]}
    assert (await api.post("/quotes", beyond, expect=422))["errors"][0]["field"] == "config.max_bad_share"


async def test_quote_counts_every_row_by_what_becomes_of_it(api: Api) -> None:
    customer = await make_ready_customer(api)
    row = {"prompt": "a", "completion": "b"}
    rows = [row] * 4 + [row | {"label": False}] * 3 + [row | {"weight": 0}]
    rows += [{"prompt": "tea " * 200, "completion": "b"}, {"prompt": "a", "completion": "tea " * 200}]
    dataset = await upload_dataset(api, customer.id, content=jsonl(rows))
    made = await quote(api, dataset["id"], skip_bad_rows=True, max_length=128)
    told = made["findings"]["rows"]
    numbers = [told[key] for key in ("read", "used", "refused", "set_aside", "too_long", "cut")]
    assert numbers == [10, 5, 3, 1, 1, 1]
    assert made["findings"]["left_out"] == 5
    assert told["line"].endswith("1 set aside, 1 too long, 1 cut")


async def test_row_with_nothing_to_learn_at_this_length_is_counted_as_left_out(api: Api) -> None:
    customer = await make_ready_customer(api)
    rows = [{"prompt": "tea " * 300, "completion": "x"}, {"prompt": "tea", "completion": "x"}]
    dataset = await upload_dataset(api, customer.id, content=jsonl(rows))
    assert [(await quote(api, dataset["id"], max_length=length))["findings"]["left_out"] for length in (64, 512)] == [
        1,
        0,
    ]


async def test_a_quote_is_kept_with_the_answer_for_a_retry_and_with_what_staff_decided(
    api: Api, urls: DatabaseUrls
) -> None:
    """The commit goes with the quote only where the edge has nothing to add to the transaction."""
    customer = await make_ready_customer(api)
    order = {"config": CONFIG, "dataset_id": customer.dataset["id"]}
    async with customer_api(api, customer.id) as own:
        plain = await own.post("/quotes", order, expect=201)
        keyed, again = [await own.post("/quotes", order, key="once", expect=201) for _ in range(2)]
        assert (await own.get(f"/quotes/{plain['id']}"))["prices"] == plain["prices"]
        assert (await own.get(f"/quotes/{keyed['id']}"))["id"] == again["id"]
    by_staff = await api.post("/quotes", order, expect=201)
    with owner_connection(urls) as connection:
        recorded = connection.execute("SELECT object_id FROM audit_entries WHERE action = 'create_quote'").fetchall()
    assert [row["object_id"] for row in recorded] == [by_staff["id"]]
