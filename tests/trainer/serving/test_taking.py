"""Adapters that are sent to a server while it runs: from whoever has the token, whole or not at all."""

import hashlib
import http.client
import json
from pathlib import Path

import pytest

from pricing.training.config import TrainingConfig
from trainer.errors import BadInput
from trainer.families.text.causal_lm import CausalLM
from trainer.formats.adapter import Adapter
from trainer.formats.reading import Layout, read_lora
from trainer.formats.writing import write_lora
from trainer.serving.command import open_server
from trainer.training.adapter_file import write_adapter

TOKEN = "a-token"


@pytest.fixture
def content(tiny_source, tmp_path) -> bytes:
    family = CausalLM.load(tiny_source)
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=4))
    return write_adapter(tmp_path / "made", Adapter(family.adapter_tensors(), family.adapter_config(), {})).read_bytes()


def test_what_is_sent_is_kept_listed_and_taken_away(tiny_source, content: bytes, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    options = {"host": "127.0.0.1", "port": 0, "kept": 2}
    with open_server(tiny_source, shelf, **options, takes_adapters=True, token=TOKEN) as server:

        def ask(method: str, path: str, body: bytes | None = None, token: str = TOKEN, **headers: str) -> tuple:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Authorization": f"Bearer {token}", **told})
            response = connection.getresponse()
            answer = response.status, response.read()
            connection.close()
            return answer

        digest = hashlib.sha256(content).hexdigest()
        assert ask("PUT", "/v1/adapters/acme/calm%20v1", content, X_Content_SHA256=digest)[0] == 200
        assert (shelf / "acme" / "calm v1.safetensors").read_bytes() == content
        listed = json.loads(ask("GET", "/v1/adapters")[1])["data"]
        assert [(each["id"], each["sha256"]) for each in listed] == [("acme/calm v1", digest)]
        assert ask("PUT", "/v1/adapters/calm", content, token="another")[0] == 401
        assert ask("PUT", "/v1/adapters/calm", content, Host="evil.example")[0] == 421
        assert ask("PUT", "/v1/adapters/calm", content, Origin="http://evil.example")[0] == 403
        status, told = ask("PUT", "/v1/adapters/calm", content[:-8])
        assert (status, b".writing" in told) == (400, False), told
        assert ask("PUT", "/v1/adapters/calm", content, X_Content_SHA256="0" * 64)[0] == 400
        for name in ("..%2F..%2Fevil", ".hidden", "checkpoints/one", "a/b/c/d", "x" * 300):
            assert ask("PUT", f"/v1/adapters/{name}", content)[0] in {400, 404}, name
        assert [path.name for path in sorted(shelf.rglob("*")) if path.is_file()] == ["calm v1.safetensors"]
        (shelf / "style").mkdir()
        write_lora(shelf / "style" / "adapter_model.safetensors", read_lora(shelf / "acme" / "calm v1.safetensors")[0],
                   Layout.PEFT)  # fmt: skip
        assert ask("PUT", "/v1/adapters/style", content)[0] == 200, "in the place of the folder's"
        assert [each["id"] for each in json.loads(ask("GET", "/v1/adapters")[1])["data"]] == ["acme/calm v1", "style"]
        assert ask("DELETE", "/v1/adapters/style")[0] == 204
        assert ask("DELETE", "/v1/adapters/style")[0] == 404


def test_nobody_else_on_the_network_sends_adapters_without_a_token(tiny_source, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="LORA_SERVE_TOKEN"):
        open_server(tiny_source, tmp_path, host="0.0.0.0", port=0, kept=1, takes_adapters=True)
