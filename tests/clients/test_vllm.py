"""vLLM itself, on a CPU: a promotion reaches it by its own calls, and what it loads answers under the adapter's name.

Its build for CPUs is heavy (some gigabytes, minutes until it serves): `tests/clients/install` leaves it out unless
BROKER_TEST_VLLM is set. The package has another name than vLLM asks its own version by, so that is told it here.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from broker.client.rest import Client
from tests.clients.conftest import FOLDER, Trained
from trainer.base_models.config import resolve_base_model
from trainer.base_models.gguf_cache import dequantize_once

BIN = FOLDER / "vllm/bin"
VERSION = "0.32.0+cpu"
START_SECONDS = 1200
LIMITS = ["--enable-lora", "--max-lora-rank", "16", "--enforce-eager", "--max-model-len", "512", "--max-num-seqs", "4"]

pytestmark = pytest.mark.skipif(not (BIN / "vllm").exists(), reason="vLLM's build for CPUs is not installed here")


@pytest.fixture(scope="module")
def vllm(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the base model of the adapter by vLLM, which finds adapters at the broker's hub."""
    folder, base = tmp_path_factory.mktemp("vllm"), resolve_base_model(trained.adapter["base_model"])
    named = folder / f"vllm-{VERSION}.dist-info"
    named.mkdir()
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n")
    address = f"http://127.0.0.1:{trained.inference_port}"
    told = {"HF_ENDPOINT": f"{trained.broker.url}/hf", "HF_TOKEN": trained.key, "HOME": str(folder)}
    told |= {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    told |= {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]}
    line = [
        BIN / "vllm",
        "serve",
        dequantize_once(base.weights),
        "--served-model-name",
        base.name,
        "--dtype",
        "float32",
    ]
    line += ["--host", "127.0.0.1", "--port", str(trained.inference_port), *LIMITS]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(line, env=told, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        wait_until_ready(process, address, folder / "log")
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(120)


def wait_until_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-4000:]
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/health", timeout=5).is_success:
                return
        time.sleep(1)
    raise AssertionError(log.read_text()[-4000:])


def wait_for_push(client: Client, environment_id: str, wanted: str | None) -> dict[str, Any]:
    """Wait until the broker has pushed what the stage has, or nothing any more."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        (push,) = client.get(f"/environments/{environment_id}/pushes")["data"]
        if push["adapter_id"] == wanted and push["state"] == ("gone" if wanted is None else "live"):
            return dict(push)
        time.sleep(0.5)
    raise AssertionError(push)


def list_adapters(address: str) -> dict[str, str]:
    models = httpx.get(f"{address}/v1/models", timeout=60).json()["data"]
    return {each["id"]: each["root"] for each in models if each["parent"] is not None}


def test_a_promotion_is_loaded_by_vllm_answers_by_its_name_and_is_taken_away(trained: Trained, vllm: str) -> None:
    adapter = trained.adapter
    with Client(trained.broker.url, trained.broker.admin_key()) as admin:
        where = {"customer_id": adapter["customer_id"], "name": "vllm", "stage": "test", "kind": "vllm", "url": vllm}
        environment = admin.post("/environments", where)["id"]
        admin.post(f"/adapters/{adapter['id']}/promote", {"stage": "test", "reason": "to be asked"})
        wait_for_push(admin, environment, adapter["id"])
        assert list_adapters(vllm) == {adapter["name"]: f"{adapter['customer_id']}/{adapter['id']}"}
        asked = {"model": adapter["name"], "prompt": "Write line 1 about tea.\n", "max_tokens": 8, "temperature": 0}
        answer = httpx.post(f"{vllm}/v1/completions", json=asked, timeout=600)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == adapter["name"]
        assert answer.json()["choices"][0]["text"]
        admin.post(f"/adapters/{adapter['id']}/withdraw", {"stage": "test", "reason": "was asked"})
        wait_for_push(admin, environment, None)
    assert list_adapters(vllm) == {}
    unknown = httpx.post(f"{vllm}/v1/unload_lora_adapter", json={"lora_name": "nobody"}, timeout=60)
    assert unknown.status_code == 404, "which the broker takes for done"
