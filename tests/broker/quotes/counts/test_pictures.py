"""Quotes for pictures: caption tokens to the last one, and what is refused before a run would refuse it."""

from collections.abc import Sequence
from typing import Any

import pytest

from broker.quotes.counts.text import count_caption_tokens
from pricing.catalog import get_base_model
from pricing.training.config import TrainingConfig
from pricing.training.image_workload import TrainingPicture, plan_image_workload
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.picture_files import draw_picture, style_files, upload_pictures
from trainer.families.stable_diffusion.clip_text import ClipTokenizer

CONFIG = {"base_model": "sd-1.5", "resolution": 64, "batch_size": 2, "epochs": 10}
CAPTIONS = ["", "a blue disc", "茶，春天", "Ünïcode <|endoftext|> …", "word " * 200, "a\tb\nc"]


async def ask(api: Api, dataset_id: str, *, expect: int = 201, **config: Any) -> Any:
    return await api.post("/quotes", {"config": {**CONFIG, **config}, "dataset_id": dataset_id}, expect=expect)


def count_as_trained(captions: Sequence[str]) -> list[int]:
    """Count what the trainer's text encoder reads of each caption."""
    return [len(ClipTokenizer.load().encode(caption).token_ids) for caption in captions]


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


@pytest.mark.parametrize("name", ["sd-1.5", "sdxl-1.0"])
def test_captions_are_counted_as_the_trainer_encodes_them(name: str) -> None:
    counted = count_caption_tokens(CAPTIONS, get_base_model(name))
    assert counted == count_as_trained(CAPTIONS)
    assert (counted[0], counted[4]) == (2, 77)


async def test_the_caption_tokens_of_every_epoch_are_quoted_and_priced(api: Api, customer: Customer) -> None:
    dataset = await upload_pictures(api, customer.id, style_files())
    made = await ask(api, dataset["id"])
    texts = ["a blue disc on a wall" + ", with a shadow" * (number % 3) for number in range(6)] + ["red disc"] * 3
    assert made["estimate"]["tokens"] == 10 * sum(count_as_trained(texts))
    assert (made["estimate"]["rows"], made["estimate"]["steps"]) == (9, 50)
    assert made["estimate"]["adapter_parameters"] == 1_594_368
    assert [price["plan"] for price in made["prices"]] == ["on_demand", "prepaid", "long_term"]


async def test_the_resolution_is_the_base_models_own_unless_given(api: Api, customer: Customer) -> None:
    dataset = await upload_pictures(api, customer.id, {"a.png": draw_picture((700, 700)), "a.txt": "a cup of tea"})
    own, given = [await ask(api, dataset["id"], resolution=side, epochs=1) for side in (None, 512)]
    assert own["estimate"] == given["estimate"]


async def test_a_default_caption_counts_for_the_pictures_without_one(api: Api, customer: Customer) -> None:
    files = {"a.png": draw_picture(number=1), "b.png": draw_picture(number=2), "a.txt": "a cup of tea"}
    dataset = await upload_pictures(api, customer.id, files)
    refused = await ask(api, dataset["id"], expect=422)
    assert refused["errors"][0]["field"] == "config.skip_bad_rows"
    assert "b.png: has no caption; set default_caption" in refused["errors"][0]["message"]
    with_default = await ask(api, dataset["id"], default_caption="in my style", epochs=1)
    assert with_default["estimate"]["tokens"] == sum(count_as_trained(["a cup of tea", "in my style"]))
    without = await ask(api, dataset["id"], skip_bad_rows=True, epochs=1)
    assert without["estimate"]["tokens"] == count_as_trained(["a cup of tea"])[0]


async def test_files_that_cannot_be_used_are_refused_unless_they_are_left_out(api: Api, customer: Customer) -> None:
    dataset = await upload_pictures(api, customer.id, style_files() | {"broken.jpg": b"x"})
    refused = await ask(api, dataset["id"], expect=422)
    assert "broken.jpg: is no picture" in refused["errors"][0]["message"]
    assert (await ask(api, dataset["id"], skip_bad_rows=True))["estimate"]["rows"] == 9
    assert (await ask(api, dataset["id"], max_bad_share=0.125))["estimate"]["rows"] == 9, "one of eight"
    refused = await ask(api, dataset["id"], max_bad_share=0.12, expect=422)
    assert refused["errors"][0]["field"] == "config.max_bad_share"


async def test_max_steps_counts_the_very_captions_of_these_steps(api: Api, customer: Customer) -> None:
    dataset = await upload_pictures(api, customer.id, style_files())
    keys = {"max_steps": 13, "validation_split": 0.2, "caption_dropout": 0.1, "gradient_accumulation": 2, "seed": 4}
    made = await ask(api, dataset["id"], **keys)
    sizes = [(96, 96), (128, 72), (72, 128)]
    captions = ["a blue disc on a wall" + ", with a shadow" * (number % 3) for number in range(6)]
    pictures = [
        TrainingPicture(str(n), sizes[n % 3], count_as_trained([caption])[0]) for n, caption in enumerate(captions)
    ]
    pictures.insert(4, TrainingPicture("extra", (96, 96), count_as_trained(["red disc"])[0], repeats=3))
    planned = plan_image_workload(pictures, TrainingConfig(**CONFIG, **keys), resolution=512)
    assert (made["estimate"]["steps"], made["estimate"]["tokens"]) == (planned.steps, planned.tokens)


async def test_a_data_set_of_the_other_kind_is_refused(api: Api, customer: Customer) -> None:
    pictures = await upload_pictures(api, customer.id, style_files())
    body = {"config": {"base_model": "smollm2-135m-instruct"}, "dataset_id": pictures["id"]}
    refused = await api.post("/quotes", body, expect=422)
    assert "it holds pictures, and smollm2-135m-instruct learns from text" in refused["errors"][0]["message"]
    refused = await ask(api, customer.dataset["id"], expect=422)
    assert "it holds text, and sd-1.5 learns from pictures" in refused["errors"][0]["message"]


@pytest.mark.parametrize("key", ["max_length", "packing", "quantization"])
async def test_keys_of_text_are_refused(api: Api, customer: Customer, key: str) -> None:
    dataset = await upload_pictures(api, customer.id, style_files())
    value = {"max_length": 64, "packing": False, "quantization": "4bit"}[key]
    refused = await ask(api, dataset["id"], expect=422, **{key: value})
    assert refused["errors"][0]["field"] == f"config.{key}"
    assert "an image model; leave it out" in refused["errors"][0]["message"]


async def test_more_repeats_than_can_be_planned_are_refused(api: Api, customer: Customer) -> None:
    files = {f"9999_cup/{number}.png": draw_picture(number=number) for number in range(51)}
    dataset = await upload_pictures(api, customer.id, files)
    refused = await ask(api, dataset["id"], expect=422)
    assert "fewer repeats" in refused["errors"][0]["message"]


async def test_a_quote_for_pictures_is_offered_on_other_devices(api: Api, customer: Customer) -> None:
    dataset = await upload_pictures(api, customer.id, style_files())
    made = await ask(api, dataset["id"])
    offers = await api.get(f"/quotes/{made['id']}/offers")
    assert {"rtx-3090", "h100-80g"} <= {offer["sku"] for offer in offers["data"]}
    assert offers["frontier"]
