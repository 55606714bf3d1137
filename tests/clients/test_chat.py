"""Chat with what was trained: a real `trainer serve` behind the facades, asked by their own clients."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from broker.client.rest import Client
from tests.clients.conftest import FOLDER, Trained

HERE = Path(__file__).parent
START_SECONDS = 120
ADDRESSES = {"openai": "openai/v1", "together": "together", "dashscope": "dashscope/api/v1"}


@pytest.fixture(scope="module")
def served(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Serve the adapter that was trained under its id, beside its base model."""
    shelf = tmp_path_factory.mktemp("shelf")
    with Client(trained.broker.url, trained.key) as own:
        adapter_id = trained.adapter["id"]
        own.download(f"/adapters/{adapter_id}/download", shelf / f"{adapter_id}.safetensors")
    command = [sys.executable, "-m", "trainer", "serve", "--base", trained.adapter["base_model"]]
    command += ["--adapters", str(shelf), "--port", str(trained.inference_port)]
    with (shelf / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, (shelf / "log").read_text()
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{trained.inference_port}/v1/models", timeout=5).is_success:
                break
        time.sleep(0.2)
    yield trained
    process.terminate()
    process.wait(60)


@pytest.mark.parametrize("package", sorted(ADDRESSES))
def test_a_customer_chats_with_its_adapter_whole_and_in_pieces(served: Trained, package: str) -> None:
    python = FOLDER / package / "bin/python"
    if not python.exists():
        pytest.skip(f"the {package} package is not installed here")
    adapter = served.adapter
    names = {
        "openai": f"ft:{adapter['base_model']}:{adapter['customer_id']}::{adapter['id']}",
        "dashscope": f"ft:{adapter['base_model']}:{adapter['customer_id']}::{adapter['id']}",
        "together": f"{adapter['base_model']}-{adapter['id']}",
    }
    told = {}
    for model in (names[package], "HuggingFaceTB/SmolLM2-135M-Instruct"):
        command = [python, HERE / "chat_walk.py", package, f"{served.broker.url}/{ADDRESSES[package]}", served.key]
        environment = {"PATH": os.environ["PATH"], "HOME": str(FOLDER)}
        done = subprocess.run(
            [*map(str, command), model], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        told[model] = json.loads(done.stdout.splitlines()[-1])
    for answer in told.values():
        assert answer["whole"]
        assert "".join(answer["pieces"]) == answer["whole"]
        assert len(answer["pieces"]) > 1
        assert answer.get("first", [answer["whole"]] * 2) == [answer["whole"]] * 2
