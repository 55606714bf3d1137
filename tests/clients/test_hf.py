"""The Hugging Face hub's own client at `/hf`: a trained adapter is downloaded byte by byte, and plain peft reads it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.clients.conftest import Trained

HERE = Path(__file__).parent


def test_an_adapter_is_downloaded_as_from_the_hub_and_read_by_plain_peft(trained: Trained, tmp_path: Path) -> None:
    adapter = trained.adapter
    told = {"HF_ENDPOINT": f"{trained.broker.url}/hf", "HF_TOKEN": trained.key, "HF_HOME": str(tmp_path / "home")}
    told["HF_HUB_OFFLINE"] = "0"  # the trainer, which other tests import here, says 1
    command = [sys.executable, str(HERE / "hf_walk.py"), f"acme-tea/{adapter['name']}", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    weights = (tmp_path / "whole" / "adapter_model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == adapter["sha256"]
    assert found["sha"] == adapter["sha256"][:40]
    assert found["files"] == found["tree"] == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert (found["whoami"], found["one"]) == ("acme-tea", True)
    assert found["config"][:2] == ["LORA", 8]
    assert found["tensors"] == 120  # A and B of two modules of thirty layers
    assert found["faults"] == {
        "entry": "RemoteEntryNotFoundError",
        "revision": "RevisionNotFoundError",
        "repository": "RepositoryNotFoundError",
    }
    require_as_vllm_does(json.loads((tmp_path / "whole" / "adapter_config.json").read_bytes()))


def require_as_vllm_does(config: dict[str, Any]) -> None:
    """Require of a configuration what vLLM 0.33.0 does (`PEFTHelper.validate_legal`; docs/readers.md)."""
    assert {"r", "lora_alpha", "target_modules"} <= config.keys()
    assert isinstance(config["r"], int)
    assert config["r"] <= 16, "vLLM takes no higher rank unless told to"
    assert isinstance(config["target_modules"], list)
    assert config.get("bias", "none") == "none"
    assert not config.get("modules_to_save")
    assert not config.get("use_dora")
    assert config["peft_type"] == "LORA"
