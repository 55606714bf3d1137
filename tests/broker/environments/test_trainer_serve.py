"""Promotions with a real `trainer serve`: each swaps what answers, and a server that lost its files gets them again."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import torch

from broker.adapters.exports import Exports, Source
from broker.adapters.exports import Layout as Exported
from broker.adapters.service import get_adapter
from broker.environments.looking import look_at_all
from broker.environments.pushing import Pusher
from broker.persistence.storage import digest_stream
from broker.retention.files import sweep_files
from broker.system import System
from pricing.training.config import TrainingConfig
from tests.broker.adapter_files import safetensors_file
from tests.broker.conftest import ManualClock
from tests.broker.environments.adapters import promote
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job
from tests.broker.served import free_port
from tests.broker.tenants import finish_job
from trainer.base_models.config import BaseModelSource
from trainer.commands.make_tiny import make_tiny
from trainer.families.text.causal_lm import CausalLM
from trainer.formats.adapter import Adapter
from trainer.formats.reading import Layout, read_lora
from trainer.serving.command import open_server
from trainer.training.adapter_file import write_adapter

pytestmark = pytest.mark.slow  # it brings torch, and a model

TOKEN = "a-token-of-the-box"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> BaseModelSource:
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    make_tiny("llama", folder)
    return BaseModelSource("tiny-llama", folder)


def write_random_adapter(source: BaseModelSource, folder: Path, seed: int) -> bytes:
    """Write an adapter whose matrices are random, so that it changes what the model says; its bytes."""
    family = CausalLM.load(source)
    torch.manual_seed(seed)
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=4))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    return write_adapter(folder, Adapter(family.adapter_tensors(), family.adapter_config(), {})).read_bytes()


async def upload(api: Api, system: System, customer: Customer, content: bytes) -> Any:
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, labels={"style": "calm"})
    await dispatch(system, gpus=8)
    await finish_job(api, system, job["id"], content=content)
    return (await api.get("/adapters", job_id=job["id"]))["data"][0]


@contextmanager
def serve(source: BaseModelSource, shelf: Path, port: int) -> Iterator[None]:
    shelf.mkdir(exist_ok=True)
    options = {"host": "127.0.0.1", "port": port, "kept": 4}
    with open_server(source, shelf, **options, takes_adapters=True, token=TOKEN):  # type: ignore[arg-type]
        yield


async def complete(port: int, model: str) -> str:
    body = {"model": model, "prompt": "tea 0?\n", "max_tokens": 6}
    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["text"])


async def test_a_promotion_swaps_what_answers_and_a_server_that_lost_its_files_gets_them_again(
    api: Api, system: System, clock: ManualClock, source: BaseModelSource, tmp_path: Path
) -> None:
    customer, port = await make_ready_customer(api), free_port()
    where = {"customer_id": customer.id, "name": "box", "stage": "test", "kind": "trainer_serve", "token": TOKEN}
    environment = await api.post("/environments", {**where, "url": f"http://127.0.0.1:{port}"}, expect=201)
    first, second = [
        await upload(api, system, customer, write_random_adapter(source, tmp_path / str(seed), seed)) for seed in (5, 6)
    ]

    async def push_and_tell() -> tuple[str, str | None]:
        await Pusher(system).push_due()
        (push,) = (await api.get(f"/environments/{environment['id']}/pushes"))["data"]
        return push["state"], push["error"]

    with serve(source, tmp_path / "shelf", port):
        await promote(api, first)
        assert await push_and_tell() == ("live", None)
        base, one = await complete(port, "tiny-llama"), await complete(port, "calm")
        promotion = await promote(api, second)
        assert await push_and_tell() == ("live", None)
        two = await complete(port, "calm")
        assert len({base, one, two}) == 3, "without a restart, under the same name"
        await api.post(f"/promotions/{promotion['id']}/undo", {"reason": "worse"})
        assert await push_and_tell() == ("live", None)
        assert await complete(port, "calm") == one
        await promote(api, await upload(api, system, customer, safetensors_file("of no model")))
        state, error = await push_and_tell()
        assert (state, (error or "")[:15]) == ("failed", "it answered 400"), error
        assert await complete(port, "calm") == one, "what it could not take has changed nothing"
    await promote(api, second)
    state, error = await push_and_tell()
    assert (state, "no connection" in (error or "")) == ("failed", True)
    with serve(source, tmp_path / "shelf", port):
        clock.advance(seconds=10)
        assert await push_and_tell() == ("live", None)
        assert await complete(port, "calm") == two
    with serve(source, tmp_path / "emptied", port):
        clock.advance(seconds=60)
        await look_at_all(system)
        assert await push_and_tell() == ("live", None)
        assert await complete(port, "calm") == two


async def test_an_adapter_is_downloaded_in_each_layout_made_once(
    api: Api, system: System, clock: ManualClock, source: BaseModelSource, tmp_path: Path
) -> None:
    customer = await make_ready_customer(api)
    content = write_random_adapter(source, tmp_path / "made", 7)
    adapter = await upload(api, system, customer, content)
    lora = read_lora(tmp_path / "made" / "adapter_model.safetensors")[0]
    for layout in (Layout.KOHYA, Layout.DIFFUSERS):
        answers = [
            await api.call("GET", f"/adapters/{adapter['id']}/download", params={"layout": layout.value}, expect=200)
            for _time in range(2)
        ]
        assert answers[0].content == answers[1].content
        assert hashlib.sha256(answers[0].content).hexdigest() == answers[0].headers["x-content-sha256"]
        assert f'filename="calm_v1.{layout.value}.safetensors"' in answers[0].headers["content-disposition"]
        (tmp_path / "got.safetensors").write_bytes(answers[0].content)
        found, told = read_lora(tmp_path / "got.safetensors")
        assert (told, [each.path for each in found.layers]) == (layout, [each.path for each in lora.layers])
        assert all(torch.equal(a.up, b.up) for a, b in zip(found.layers, lora.layers, strict=True))
    kept = sorted(path.name for path in (system.services.settings.data_dir / "objects" / "exports").rglob("*.sha256"))
    assert len(kept) == 2
    async with system.work() as work:
        own = Source.of(await get_adapter(work, adapter["id"]))
    folder = system.services.settings.data_dir / "objects" / "exports" / adapter["id"]
    for seal in folder.glob("*.kohya.sha256"):
        seal.unlink()
    both = await asyncio.gather(*(Exports().get(system.services, own, Exported.KOHYA) for _process in range(2)))
    for made in both:  # processes that make it at once write other bytes each: each hash has its own file
        assert (await digest_stream(system.services.storage.stream(made.storage_key)))[0] == made.sha256
    await api.call("DELETE", f"/adapters/{adapter['id']}", expect=204)
    clock.advance(seconds=11 * 60)  # until then a submission under way may go on from it
    await sweep_files(system, before=datetime(2000, 1, 1, tzinfo=UTC))
    assert list((system.services.settings.data_dir / "objects").rglob("*.safetensors*")) == []
    odd = await upload(api, system, customer, safetensors_file("of no model"))
    refused = await api.get(f"/adapters/{odd['id']}/download", expect=422, layout="kohya")
    assert "cannot be made of this adapter" in refused["errors"][0]["message"]
    system.services.settings.trainer_command = "/no/such/trainer run"
    refused = await api.get(f"/adapters/{odd['id']}/download", expect=422, layout="kohya")
    assert "trainer export FILE --format kohya" in refused["errors"][0]["message"]
