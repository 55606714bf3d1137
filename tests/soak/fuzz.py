"""10,000 configurations, archives and pictures that nobody would send: each gets an answer that says what is wrong.

Configurations go to the broker as JSON and to the trainer as a YAML file; archives and pictures are uploaded, and
pictures are opened by the trainer, too. An answer is good where it is no failure: taken, or refused with a field and a
sentence. All of it is made from the seed, each input from its number.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from broker.app import create_app
from broker.config import Settings
from broker.datasets.thumbnails import PictureUnusable, shrink_picture
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls, prepare
from broker.system import open_system
from pricing.training.config_parsing import ConfigInvalid
from tests.broker.factories import Api, jsonl
from tests.broker.picture_files import zip_files
from tests.soak.ground import open_ground
from tests.soak.mutations import make_archive, make_config, make_picture, write_yaml
from trainer.base_models.config import read_config
from trainer.data.images import ImageUnusable, open_image
from trainer.errors import BadInput

INPUTS, TOLD_EVERY, SECONDS_OF_ONE = 10_000, 1_000, 60.0
REFUSALS = (402, 404, 409, 413, 422)


@dataclass
class Fuzzed:
    """A broker in process, a customer with a data set, and what has come of the inputs so far."""

    api: Api
    customer_id: str
    dataset_id: str
    folder: Path
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    async def send_config(self, rng: random.Random) -> str:
        """Ask for a quote of a configuration."""
        body = json.dumps({"config": make_config(rng), "dataset_id": self.dataset_id})
        answer = await self.api.call("POST", "/quotes", content=body, headers={"Content-Type": "application/json"})
        return judge_answer(answer)

    async def read_config(self, rng: random.Random) -> str:
        """Read a configuration as `trainer train` does."""
        file = self.folder / "config.yaml"
        file.write_bytes(write_yaml(rng))
        try:
            read_config(file)
        except ConfigInvalid as refused:
            return judge_words(*(word for problem in refused.problems for word in (problem.field, problem.message)))
        except BadInput as refused:
            return judge_words(refused.field, refused.cure)
        return "taken"

    async def send_archive(self, rng: random.Random) -> str:
        """Upload an archive."""
        return await self.upload(*make_archive(rng))

    async def send_pictures(self, rng: random.Random) -> str:
        """Upload pictures with their captions, after the trainer and the console have opened one of them."""
        name, content = make_picture(rng)
        file = self.folder / name
        file.write_bytes(content)
        try:
            open_image(file)
        except ImageUnusable as refused:
            judge_words(str(refused))
        try:
            shrink_picture(content)
        except PictureUnusable as refused:
            judge_words(str(refused))
        return await self.upload(
            "style.zip", zip_files({name: content, "metadata.csv": f"file_name,text\n{name},a disc"})
        )

    async def upload(self, name: str, content: bytes) -> str:
        files = {"files": (name, content)}
        return judge_answer(
            await self.api.call("POST", "/datasets", files=files, data={"customer_id": self.customer_id})
        )


def judge_words(*words: str) -> str:
    """Tell that an input was refused. Raises: AssertionError, where that says nothing."""
    assert words, "it was refused without a word"
    assert all(words), words
    return "refused"


def judge_answer(answer: httpx.Response) -> str:
    """Tell whether an input was taken or refused. Raises: AssertionError, where the answer is neither, or unclear."""
    if answer.status_code in {200, 201}:
        return "taken"
    assert answer.status_code in REFUSALS, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    problem = answer.json()
    assert problem["title"], problem
    assert problem["detail"], problem
    if answer.status_code == 422:
        assert problem["errors"], problem
        assert all(each["field"] and each["message"] for each in problem["errors"]), problem
    return "refused"


KINDS: tuple[tuple[str, Callable[[Fuzzed, random.Random], Awaitable[str]]], ...] = (
    ("configurations at the broker", Fuzzed.send_config),
    ("configurations at the trainer", Fuzzed.read_config),
    ("archives", Fuzzed.send_archive),
    ("pictures", Fuzzed.send_pictures),
)


def prove_fuzz(seed: int, count: int | None = None, server: EmbeddedServer | None = None) -> dict[str, Any]:
    """Send so many inputs, of each kind in turn; returns the figures. Raises: AssertionError, with all faults."""
    with open_ground(server) as (folder, urls):
        return asyncio.run(fuzz(seed, count or INPUTS, folder, urls))


async def fuzz(seed: int, count: int, folder: Path, urls: DatabaseUrls) -> dict[str, Any]:
    settings = Settings(data_dir=folder / "data", local_slots=0, max_dataset_bytes=2_000_000)
    await (await prepare(settings, urls)).database.close()
    system = open_system(settings, urls.app)
    async with Api.connect(create_app(system), settings.admin_key_path.read_text().strip()) as api:
        customer = (await api.post("/customers", {"name": "Odd"}, expect=201))["id"]
        sent = {"files": ("train.jsonl", jsonl())}
        answer = await api.call("POST", "/datasets", files=sent, data={"customer_id": customer}, expect=201)
        fuzzed = Fuzzed(api, customer, answer.json()["id"], folder)
        for number in range(count):
            await try_one(fuzzed, seed, number)
    await system.database.close()
    assert not fuzzed.faults, f"{len(fuzzed.faults)} faults, seed {seed}:\n" + "\n".join(fuzzed.faults[:20])
    outcomes = {kind: dict(outcome) for kind, outcome in fuzzed.outcomes.items()}
    return {"inputs": count, "outcomes": outcomes, "failures": 0, "slowest_seconds": round(fuzzed.slowest[0], 2)}


async def try_one(fuzzed: Fuzzed, seed: int, number: int) -> None:
    """Make one input from the seed and its number, and note what came of it."""
    kind, act = KINDS[number % len(KINDS)]
    began = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS_OF_ONE):
            outcome = await act(fuzzed, random.Random(f"{seed} {number}"))
    except Exception as fault:  # noqa: BLE001 (whatever it is, the others are tried, too)
        fuzzed.faults.append(f"input {number}, {kind}: {type(fault).__name__}: {fault}"[:1000])
        sys.stdout.write(fuzzed.faults[-1] + "\n")
        outcome = "failed"
    fuzzed.slowest = max(fuzzed.slowest, (time.monotonic() - began, f"{kind} {number}"))
    fuzzed.outcomes.setdefault(kind, Counter())[outcome] += 1
    if (number + 1) % TOLD_EVERY == 0:
        sys.stdout.write(f"{number + 1} inputs, {len(fuzzed.faults)} faults\n")
        sys.stdout.flush()
