"""Large data is counted once, beside everything else: quotes say how far it is, a crash loses one part at most."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from broker.config import Settings
from broker.datasets import token_counts
from broker.datasets.service import get_dataset
from broker.datasets.token_counts import SMALL_ROWS, CountKey
from broker.quotes.counts import count_aside, count_needs, counting
from broker.quotes.counts.counting import name_tokenizer
from broker.quotes.counts.text import count_row_lengths
from broker.quotes.counts.token_counter import TokenCounter
from broker.system import System
from pricing.catalog import get_base_model
from pricing.datasets.text_rows import parse_text_files
from tests.broker.conftest import ManualClock
from tests.broker.factories import CONFIG, Api, customer_api, make_customer, make_ready_customer, upload_dataset
from tests.broker.picture_files import style_files, upload_pictures

PROFILE = get_base_model("smollm2-135m-instruct")
NUMBERS = itertools.count()
ROWS = SMALL_ROWS + 500


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a quote wait no moment, and give a part some hundred rows."""
    monkeypatch.setattr(count_needs, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(count_aside, "BATCH_ROWS", 400)


@pytest.fixture
def counter(system: System) -> TokenCounter:
    return TokenCounter(system)


def large_content() -> bytes:
    """Rows that no other test counts: counts are remembered by content."""
    mark = next(NUMBERS)
    rows = ({"prompt": f"{mark}: line {number}", "completion": "tea " * (number % 7 + 1)} for number in range(ROWS))
    return "\n".join(json.dumps(row) for row in rows).encode()


async def ask(api: Api, dataset_id: str, *, expect: int = 201, **config: Any) -> Any:
    return await api.post("/quotes", {"config": {**CONFIG, **config}, "dataset_id": dataset_id}, expect=expect)


async def read_progress(api: Api, dataset_id: str) -> list[tuple[str, int, int]]:
    dataset = await api.get(f"/datasets/{dataset_id}")
    return [(count["status"], count["counted_rows"], count["rows"]) for count in dataset["token_counts"]]


async def test_small_data_is_counted_when_it_is_first_quoted_and_remembered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api)
    forget()
    await ask(api, customer.dataset["id"])
    counted = count_needs.count_whole
    monkeypatch.setattr(count_needs, "count_whole", None)
    quoted = await ask(api, customer.dataset["id"], epochs=2)
    monkeypatch.setattr(count_needs, "count_whole", counted)
    assert await read_progress(api, customer.dataset["id"]) == [], "it is not worth keeping"
    forget()
    await api.get(f"/quotes/{quoted['id']}/offers")
    assert (await ask(api, customer.dataset["id"], epochs=2))["estimate"] == quoted["estimate"]


async def test_count_that_was_pushed_out_of_memory_is_made_again(api: Api) -> None:
    customer = await make_ready_customer(api)
    quoted = await ask(api, customer.dataset["id"])
    counting.COUNTS.clear()
    assert (await ask(api, customer.dataset["id"]))["estimate"] == quoted["estimate"]


def forget() -> None:
    """Do what a restart does to what a process remembers."""
    counting.COUNTS.clear()
    count_needs.KNOWN.clear()


async def test_large_data_is_quoted_once_it_is_counted(api: Api, counter: TokenCounter) -> None:
    customer, content = await make_customer(api), large_content()
    dataset = await upload_dataset(api, customer["id"], content=content)
    response = await api.call("POST", "/quotes", json={"config": CONFIG, "dataset_id": dataset["id"]}, expect=503)
    problem = response.json()
    assert (problem["type"], problem["rows"], problem["counted_rows"]) == ("/problems/tokens-being-counted", ROWS, 0)
    assert response.headers["retry-after"] == str(problem["retry_after_seconds"])
    assert "Ask again in 1 s" in problem["detail"]
    assert await read_progress(api, dataset["id"]) == [("counting", 0, ROWS)]
    await counter.count_all()
    assert await read_progress(api, dataset["id"]) == [("counted", ROWS, ROWS)]
    quoted = await ask(api, dataset["id"])
    lengths = count_row_lengths(parse_text_files([("train.jsonl", content)]).rows, PROFILE)
    assert quoted["estimate"]["tokens"] == sum(min(length.whole, 256) for length in lengths)
    forget()
    assert (await ask(api, dataset["id"]))["estimate"] == quoted["estimate"]


async def test_new_data_is_counted_before_anybody_asks(api: Api, counter: TokenCounter) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"], content=large_content())
    small = await upload_dataset(api, customer["id"])
    await counter.count_all()
    assert await read_progress(api, dataset["id"]) == [("counted", ROWS, ROWS)]
    assert await read_progress(api, small["id"]) == []
    listed = {each["id"]: each["token_counts"] for each in (await api.get("/datasets"))["data"]}
    assert [count["status"] for count in listed[dataset["id"]]] == ["counted"]


async def test_batch_and_job_wait_for_the_count_as_well(api: Api, counter: TokenCounter) -> None:
    customer = await make_ready_customer(api)
    dataset = await upload_dataset(api, customer.id, content=large_content())
    order = {"config": CONFIG, "dataset_id": dataset["id"], "customer_id": customer.id}
    batch = {"configs": [CONFIG, {**CONFIG, "lora_rank": 0}], "dataset_id": dataset["id"]}
    answers = (await api.post("/quotes/batch", batch))["data"]
    problems = [answer["problem"]["type"] for answer in answers]
    assert problems == ["/problems/tokens-being-counted", "/problems/invalid-training-config"]
    assert (await api.post("/jobs", order, expect=503))["type"] == "/problems/tokens-being-counted"
    await counter.count_all()
    assert (await api.post("/quotes/batch", batch))["data"][0]["quote"]["estimate"]["rows"] == ROWS
    await api.post("/jobs", order, expect=201)


async def test_count_goes_on_from_its_last_part_after_a_crash(
    api: Api, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"], content=large_content())
    counted = count_aside.count_row_lengths
    calls = break_at(monkeypatch, batch=3)
    with pytest.raises(OSError, match="power cut"):
        await TokenCounter(system).count_all()
    assert await read_progress(api, dataset["id"]) == [("counting", 800, ROWS)]
    await TokenCounter(system).count_all()
    assert await read_progress(api, dataset["id"]) == [("counting", 800, ROWS)], "the claim still holds"
    monkeypatch.setattr(count_aside, "count_row_lengths", counted)
    clock.advance(seconds=token_counts.CLAIM_SECONDS + 1)
    await TokenCounter(system).count_all()
    assert await read_progress(api, dataset["id"]) == [("counted", ROWS, ROWS)]
    assert next(calls) == 3, "the first rows are not counted again"
    lengths = await read_lengths(system, dataset["id"])
    assert len(lengths) == ROWS


def break_at(monkeypatch: pytest.MonkeyPatch, *, batch: int) -> Iterator[int]:
    """Cut the power when so many batches are counted."""
    calls, counted = itertools.count(), count_aside.count_row_lengths

    def count(*arguments: Any) -> Any:
        if next(calls) == batch - 1:
            raise OSError("power cut")
        return counted(*arguments)

    monkeypatch.setattr(count_aside, "count_row_lengths", count)
    return calls


async def read_lengths(system: System, dataset_id: str) -> counting.Counted:
    counting.COUNTS.clear()
    async with system.work() as work:
        return (await counting.read_counted(work, await get_dataset(work, dataset_id), PROFILE)).counted


async def test_count_that_breaks_off_again_and_again_is_given_up_and_stops_no_other(
    api: Api, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"], content=large_content())
    monkeypatch.setattr(count_aside, "count_row_lengths", lambda *_: 1 / 0)
    for _ in range(token_counts.MOST_FAILURES):
        with pytest.raises(ZeroDivisionError):
            await TokenCounter(system).count_all()
        clock.advance(seconds=token_counts.CLAIM_SECONDS + 1)
    await TokenCounter(system).count_all()
    assert await read_progress(api, dataset["id"]) == [("failed", 0, ROWS)]
    refused = await ask(api, dataset["id"], expect=422)
    assert (refused["type"], refused["errors"][0]["field"]) == ("/problems/dataset-unusable", "dataset_id")


@pytest.mark.slow
async def test_customers_take_turns_however_much_one_of_them_has(
    api: Api, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One customer's five data sets came first; the other's one had to wait for all of them."""
    busy, other = await make_customer(api), await make_customer(api)
    many = [await upload_dataset(api, busy["id"], content=large_content()) for _ in range(5)]
    clock.advance(seconds=1)
    one = await upload_dataset(api, other["id"], content=large_content())
    monkeypatch.setattr("broker.quotes.counts.token_counter.TURN_SECONDS", -1.0)
    counted = list[tuple[int, int]]()
    for _ in range(6):
        clock.advance(seconds=1)
        assert await TokenCounter(system).count_next()
        counted.append((await count_rows(api, many), await count_rows(api, [one])))
    parts = [sum(numbers) for numbers in counted]
    assert parts == [400, 800, 1200, 1600, 2000, 2400], "a turn is one part while another waits"
    assert counted[-1] == (1200, 1200)
    await TokenCounter(system).count_all()
    assert await count_rows(api, [*many, one]) == 6 * ROWS


async def count_rows(api: Api, datasets: Sequence[Any]) -> int:
    return sum([counted for each in datasets for _, counted, _ in await read_progress(api, each["id"])])


async def test_counter_that_lost_its_claim_keeps_nothing(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"], content=large_content())
    async with system.work() as work:
        await token_counts.ask_for_count(
            work, key := CountKey(dataset["id"], "t"), await get_dataset(work, key.dataset_id), "m", waits=False
        )
        slow = await token_counts.claim_count(work, "slow")
    assert slow is not None
    clock.advance(seconds=token_counts.CLAIM_SECONDS + 1)
    async with system.work() as work:
        quick = await token_counts.claim_count(work, "quick")
    assert quick is not None
    async with system.work() as work:
        assert not await token_counts.keep_part(work, slow, 0, b"slow", 10)
        assert await token_counts.keep_part(work, quick, 0, b"quick", 20)
        assert not await token_counts.keep_part(work, quick, 0, b"again", 20), "a part is kept once"
        assert await token_counts.read_parts(work, key) == [b"quick"]


async def test_large_pictures_are_counted_beside_as_well(
    api: Api, counter: TokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_counts, "SMALL_BYTES", 1000)
    monkeypatch.setattr(count_needs, "SMALL_PICTURES_BYTES", 1000)
    customer = await make_customer(api)
    dataset = await upload_pictures(api, customer["id"], style_files() | {"notes.md": str(next(NUMBERS))})
    body = {"config": {"base_model": "sd-1.5", "resolution": 64}, "dataset_id": dataset["id"]}
    assert (await api.post("/quotes", body, expect=503))["rows"] == 7
    await counter.count_all()
    assert [count["base_model"] for count in (await api.get(f"/datasets/{dataset['id']}"))["token_counts"]] == [
        "sd-1.5"
    ]
    assert (await api.post("/quotes", body, expect=201))["estimate"]["rows"] == 9


async def test_rows_have_a_limit_that_names_its_setting(api: Api, app: Any, settings: Settings) -> None:
    few = settings.model_copy(update={"max_dataset_rows": 3})
    app.state.services = replace(app.state.services, settings=few)
    customer = await make_customer(api)
    rows = b'{"prompt": "a", "completion": "b"}\n'
    await upload_dataset(api, customer["id"], content=rows * 3)
    for content in (rows * 4, rows * 3 + b"bad\n", b"{}\n" * 1000):
        files = {"files": ("train.jsonl", content)}
        response = await api.call("POST", "/datasets", files=files, data={"customer_id": customer["id"]}, expect=422)
        assert response.json()["type"] == "/problems/dataset-unusable"
        assert "more than 3 rows; split it, or have the operator raise BROKER_MAX_DATASET_ROWS" in response.text


async def test_counts_of_a_stranger_are_not_seen(api: Api, counter: TokenCounter) -> None:
    owner, stranger = await make_customer(api), await make_customer(api)
    dataset = await upload_dataset(api, owner["id"], content=large_content())
    await counter.count_all()
    async with customer_api(api, stranger["id"]) as other:
        await ask(other, dataset["id"], expect=404)


def test_other_reading_is_another_count() -> None:
    """The same vocabulary with another template or context length makes other lengths."""
    assert name_tokenizer(get_base_model("sd-1.5")) == name_tokenizer(get_base_model("sdxl-1.0"))
    others = [PROFILE.model_copy(update=change) for change in ({"text_format": None}, {"context_length": 64})]
    assert len({name_tokenizer(profile) for profile in (PROFILE, *others)}) == 3


def test_what_is_remembered_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counting.COUNTS.maxsize == counting.CACHE_BYTES  # type: ignore[attr-defined]
    lengths = counting.RowLengths.of(count_row_lengths([], PROFILE))
    lengths.wholes.extend([1] * (counting.CACHE_BYTES // 8))
    counting.remember(type("Dataset", (), {"sha256": "large"}), "t", lengths)  # type: ignore[arg-type]
    assert ("large", "t") not in counting.COUNTS
