"""Switching between adapters under `trainer serve`, on SmolLM2: over HTTP, the adapter's part of each request.

Two adapters of rank 8 on q and v take turns for one-token answers. Bar: 50 ms at the 95th percentile, for adapters that
are in memory; the first use of a new file, which is read then, stands in a row of its own without a bar of the issue.
"""

import http.client
import json
import statistics
import tempfile
from pathlib import Path

import torch

from benchmarks.row import Row
from pricing.training.config import TrainingConfig
from trainer.base_models.config import resolve_base_model
from trainer.families.text.causal_lm import CausalLM
from trainer.formats.adapter import Adapter
from trainer.serving.command import open_server
from trainer.serving.server import AdapterServer
from trainer.training.adapter_file import write_adapter

MODEL = "smollm2-135m-instruct"
LIMIT_MILLISECONDS, FIRST_LIMIT_MILLISECONDS = 50.0, 500.0
SWITCHES, FIRST_USES = 60, 8


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-bench-") as folder:
        shelf = Path(folder) / "shelf"
        template = make_adapter(Path(folder) / "trained")
        shelf.mkdir()
        for name in ("a", "b"):
            (shelf / f"{name}.safetensors").write_bytes(template.read_bytes())
        with open_server(resolve_base_model(MODEL), shelf, host="127.0.0.1", port=0, kept=16) as server:
            ask(server, "a")
            switches = [ask(server, "ba"[number % 2]) for number in range(SWITCHES)]
            first_uses = []
            for number in range(FIRST_USES):
                (shelf / f"new{number}.safetensors").write_bytes(template.read_bytes())
                first_uses.append(ask(server, f"new{number}"))
    slow = statistics.quantiles(switches, n=20)[-1]
    first = statistics.median(first_uses)
    return [
        Row("switch of adapter, SmolLM2 (p95)", "ms", slow, "limit of 50 ms", LIMIT_MILLISECONDS, bar=1.0),
        Row("first use of a new adapter file", "ms", first, "limit of 500 ms", FIRST_LIMIT_MILLISECONDS, bar=1.0),
    ]


def make_adapter(folder: Path) -> Path:
    family = CausalLM.load(resolve_base_model(MODEL))
    family.attach_adapter(TrainingConfig(base_model=MODEL, lora_rank=8, target_modules=("q_proj", "v_proj")))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.01)
    return write_adapter(folder, Adapter(family.adapter_tensors(), family.adapter_config(), {}))


def ask(server: AdapterServer, name: str) -> float:
    """Milliseconds that the request's switch took, as the server tells it in the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/v1/completions", json.dumps({"model": name, "prompt": "Tea", "max_tokens": 1}))
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    if response.status != 200:
        raise RuntimeError(answer["error"]["message"])
    return float(response.headers["X-Switch-Milliseconds"])


if __name__ == "__main__":
    for row in measure():
        print(f"{row.name}: {row.ours:.1f} {row.unit}, {row.peer_name}")
