"""`trainer serve` over HTTP, each request with the adapter that it names."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from starlette.types import Receive, Scope, Send

from pricing.training.config import TrainingConfig
from trainer.errors import AdapterUnusable
from trainer.families.text.causal_lm import CausalLM
from trainer.formats.adapter import Adapter
from trainer.formats.reading import Layout, load_adapter_any, read_lora
from trainer.formats.writing import write_lora
from trainer.serving.application import SendLimit
from trainer.serving.command import open_server
from trainer.serving.text import Piece
from trainer.training.adapter_file import write_adapter


@pytest.fixture(scope="module")
def adapter_file(tiny_source, tmp_path_factory) -> Path:
    """Write an adapter with both matrices random, so that it changes what the tiny model says."""
    family = CausalLM.load(tiny_source)
    torch.manual_seed(5)
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=4))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    adapter = Adapter(family.adapter_tensors(), family.adapter_config(), {})
    return write_adapter(tmp_path_factory.mktemp("adapter"), adapter)


@pytest.fixture
def shelf(adapter_file, tmp_path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "calm.safetensors").write_bytes(adapter_file.read_bytes())
    return folder


@pytest.fixture
def server(tiny_source, shelf):
    with open_server(tiny_source, shelf, host="127.0.0.1", port=0, kept=2) as server:
        yield server


@pytest.fixture(scope="module")
def lasting_server(tiny_source, adapter_file, tmp_path_factory):
    """Serve for all tests that change nothing: to start and end one takes longer than to ask it."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "calm.safetensors").write_bytes(adapter_file.read_bytes())
    with open_server(tiny_source, folder, host="127.0.0.1", port=0, kept=2) as server:
        yield server


@pytest.fixture
def ask(server):
    return make_asking(server)


@pytest.fixture
def ask_only(lasting_server):
    return make_asking(lasting_server)


def make_asking(server):
    def send(method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    return send


@pytest.fixture
def complete(ask):
    def send(model: str, **more: object) -> dict:
        status, body = ask("POST", "/v1/completions", {"model": model, "prompt": "tea 0?\n", "max_tokens": 6, **more})
        return {"status": status, **json.loads(body)}

    return send


def expected(tiny_source, file: Path | None) -> str:
    """Complete greedily by the family itself, 6 tokens long."""
    family = CausalLM.load(tiny_source)
    if file is not None:
        adapter = load_adapter_any(file)
        family.apply_adapter(adapter.config, adapter.tensors)
    return family.complete("tea 0?", max_new_tokens=6)


def text_of(answer: dict) -> str:
    return answer["choices"][0]["text"].strip()


def test_each_request_is_answered_by_the_adapter_it_names(complete, server, shelf, tiny_source) -> None:
    with_adapter, without = expected(tiny_source, shelf / "calm.safetensors"), expected(tiny_source, None)
    assert with_adapter != without
    base = server.model.model
    said = [text_of(complete(name)) for name in ("calm", "tiny-llama", "calm", "tiny-llama")]
    assert said == [with_adapter, without, with_adapter, without]
    assert server.model.model is base


def test_models_are_listed_and_new_files_appear_without_a_restart(ask, complete, shelf) -> None:
    def names() -> list[str]:
        return [model["id"] for model in json.loads(ask("GET", "/v1/models")[1])["data"]]

    assert names() == ["tiny-llama", "calm"]
    lora, _ = read_lora(shelf / "calm.safetensors")
    (shelf / "customer").mkdir()
    (shelf / "folder.safetensors").mkdir()
    write_lora(shelf / "customer" / "calm_v2.safetensors", lora, Layout.KOHYA)
    assert names() == ["tiny-llama", "calm", "customer/calm_v2"]
    assert text_of(complete("customer/calm_v2")) == text_of(complete("calm"))


def test_a_file_that_changes_is_read_again_and_one_that_goes_is_gone(complete, shelf) -> None:
    before = text_of(complete("calm"))
    lora, _ = read_lora(shelf / "calm.safetensors")
    for layer in lora.layers:
        layer.up.zero_()
    write_lora(shelf / "calm.safetensors", lora, Layout.PEFT)
    assert text_of(complete("calm")) == text_of(complete("tiny-llama")) != before
    (shelf / "calm.safetensors").unlink()
    gone = complete("calm")
    assert gone["status"] == 404
    assert gone["error"]["code"] == "model_not_found"


def test_more_adapters_than_are_kept_take_turns(complete, shelf) -> None:
    lora, _ = read_lora(shelf / "calm.safetensors")
    for number in range(4):
        write_lora(shelf / f"calm{number}.safetensors", lora, Layout.DIFFUSERS)
    answers = {text_of(complete(f"calm{number}")) for _ in range(2) for number in range(4)}
    assert answers == {text_of(complete("calm"))}


def test_a_chat_is_laid_out_as_in_training(ask, complete) -> None:
    status, body = ask("POST", "/v1/chat/completions", {"model": "calm", "max_tokens": 6, "messages": [user("tea 0?")]})
    answer = json.loads(body)
    assert status == 200
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["choices"][0]["message"]["content"].strip() == text_of(complete("calm"))
    usage = answer["usage"]
    assert usage["prompt_tokens"] == len("tea 0?\n")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_stream_brings_the_same_text_in_pieces(ask, complete) -> None:
    whole = complete("calm")["choices"][0]["text"]
    body = {"model": "calm", "prompt": "tea 0?\n", "max_tokens": 6, "stream": True}
    _, events = ask("POST", "/v1/completions", body)
    lines = [line.removeprefix("data: ") for line in events.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    choices = [json.loads(line)["choices"][0] for line in lines[:-1]]
    assert "".join(choice["text"] for choice in choices) == whole
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] in (["stop"], ["length"])


def test_an_answer_ends_before_its_stop_text(complete) -> None:
    whole = complete("calm")["choices"][0]["text"]
    stopped = complete("calm", stop=[whole[2:4]])["choices"][0]
    assert (stopped["text"], stopped["finish_reason"]) == (whole[: whole.index(whole[2:4])], "stop")


def test_drawn_answers_are_the_same_for_the_same_seed(complete) -> None:
    first, second = (text_of(complete("tiny-llama", temperature=1.5, seed=7)) for _ in range(2))
    others = {text_of(complete("tiny-llama", temperature=1.5, seed=seed)) for seed in range(5)}
    assert first == second
    assert len(others) > 1


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/completions", b"{", 400, "Invalid JSON"),
        ("/v1/completions", {"model": "calm"}, 400, "prompt: Field required"),
        ("/v1/completions", {"prompt": "x" * 200}, 400, "do not fit"),
        ("/v1/completions", {"prompt": "x", "n": 3}, 400, "n: "),
        ("/v1/completions", {"prompt": "x", "model": "../../etc/passwd"}, 404, "does not exist"),
        ("/v1/chat/completions", {"messages": []}, 400, "messages"),
        ("/v1/chat/completions", {"messages": [{"role": "assistant", "content": "a"}]}, 400, "take turns"),
        ("/v1/images/generations", {"prompt": "ink"}, 400, "holds a language model"),
        ("/v1/embeddings", {"input": "x"}, 404, "there is no /v1/embeddings"),
        ("/v1/completions", b"null", 400, "body: "),
        ("/v1/completions", b"\xff\xfe{", 400, "Invalid JSON"),
        ("/v1/completions", b"[" * 100_000, 400, "Invalid JSON"),
        ("/v1/completions", b'{"prompt": "\\ud800"}', 400, "Invalid JSON"),
        ("/v1/completions", {"prompt": ["x"]}, 400, "prompt: Input should be a valid string"),
        ("/v1/completions", {"prompt": "x", "model": 5}, 400, "model: Input should be a valid string"),
        ("/v1/completions", {"prompt": "x", "max_tokens": "5"}, 400, "max_tokens: Input should be a valid integer"),
        ("/v1/completions", {"prompt": "x", "max_tokens": 10**400}, 400, "max_tokens: "),
        ("/v1/completions", {"prompt": "x", "seed": 10**400}, 400, "seed: "),
        ("/v1/completions", {"prompt": "x", "n": 10**400}, 400, "n: "),
        ("/v1/completions", {"prompt": "x", "temperature": float("nan")}, 400, "temperature: "),
        ("/v1/completions", {"prompt": "x", "top_p": 0}, 400, "top_p: "),
        ("/v1/completions", {"prompt": "x", "stop": [1]}, 400, "stop.0: "),
        ("/v1/completions", {"prompt": "x", "stop": ["x"] * 17}, 400, "stop: "),
        ("/v1/completions", {"prompt": "x", "stream": "yes"}, 400, "stream: "),
        ("/v1/chat/completions", {"messages": {}}, 400, "messages: "),
        ("/v1/chat/completions", {"messages": [{"role": "user"}]}, 400, "messages.0.content: Field required"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": None}]}, 400, "messages.0.content: "),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": " "}]}, 400, "the last message is empty"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": []}]}, 400, "the last message is empty"),
        ("/v1/chat/completions", {"messages": [{"role": "tool", "content": "x"}]}, 400, "messages.0.role: "),
        ("/v1/chat/completions", {"messages": [{"role": "system", "content": "x"}]}, 400, "take turns"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            400,
            "messages.0.content.0.type: Input should be 'text'",
        ),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "model": "nobody"}, 404, "not exist"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_why(ask_only, path, body, status, message) -> None:
    found, answer = ask_only("POST", path, body)
    assert found == status
    assert message in json.loads(answer)["error"]["message"]


def test_an_adapter_of_another_model_is_refused_and_the_others_go_on(complete, shelf) -> None:
    lora, _ = read_lora(shelf / "calm.safetensors")
    for layer in lora.layers:
        object.__setattr__(layer, "down", torch.ones(4, 7))
    write_lora(shelf / "strange.safetensors", lora, Layout.KOHYA)
    (shelf / "torn.safetensors").write_bytes(b"half a file")
    before = text_of(complete("calm"))
    for name in ("strange", "torn"):
        refused = complete(name)
        assert refused["status"] == 400
        assert refused["error"]["code"] == "adapter_unusable"
    assert text_of(complete("calm")) == before


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 1e-300},
        {"temperature": 5e-324, "top_p": 5e-324},
        {"temperature": 2, "top_p": 1e-12, "seed": 2**63 - 1},
        {"stop": ["", "x"], "max_tokens": 1},
        {"max_tokens": 8192},
        {"prompt": "\x00\u200b\U0001f600"},
        {"tools": [], "logit_bias": {}, "user": "me"},
    ],
)
def test_odd_but_lawful_requests_are_answered(ask_only, more) -> None:
    body = {"model": "calm", "prompt": "tea 0?\n", "max_tokens": 6, **more}
    assert ask_only("POST", "/v1/completions", body)[0] == 200


def test_content_in_parts_is_the_text_of_the_parts(ask_only) -> None:
    def say(content: object) -> str:
        body = {"messages": [{"role": "developer", "content": "be calm"}, {"role": "user", "content": content}]}
        status, answer = ask_only("POST", "/v1/chat/completions", {**body, "model": "calm", "max_tokens": 6})
        assert status == 200, answer
        return json.loads(answer)["choices"][0]["message"]["content"]

    assert say([{"type": "text", "text": "tea"}, {"type": "text", "text": "0?"}]) == say("tea\n0?")


def test_a_file_that_lacks_tensors_is_refused_by_their_names_and_never_answered_from_unset_memory(
    complete, shelf, tmp_path
) -> None:
    adapter = load_adapter_any(shelf / "calm.safetensors")
    for number, mark in enumerate(("layers.0", "lora_B", "layers.1.self_attn.v_proj")):
        tensors = {name: tensor for name, tensor in adapter.tensors.items() if mark not in name}
        write_adapter(shelf / f"half{number}", Adapter(tensors, adapter.config, {}))
        for _ in range(2):
            refused = complete(f"half{number}")
            assert refused["status"] == 400
            assert "lacks" in (said := refused["error"]["message"]) or "only one of its two" in said, said
            assert mark in said or mark == "lora_B"
    tensors = {name: tensor for name, tensor in adapter.tensors.items() if "0.self_attn.q_proj.lora_A" not in name}
    with pytest.raises(AdapterUnusable, match="only one of its two LoRA matrices"):
        read_lora(write_adapter(shelf / "half", Adapter(tensors, adapter.config, {})))
    assert complete("calm")["status"] == 200


def test_an_adapter_that_is_not_finite_or_of_another_shape_is_refused_by_its_tensors_name(complete, shelf) -> None:
    adapter = load_adapter_any(shelf / "calm.safetensors")
    name = next(name for name in adapter.tensors if "lora_B" in name)
    changes = {
        "nan": adapter.tensors[name].clone().fill_(float("nan")),
        "inf": adapter.tensors[name].clone().index_fill_(0, torch.tensor([1]), float("inf")),
        "wide": torch.zeros(7, 4),
        "whole": adapter.tensors[name].to(torch.int8),
    }
    for kind, changed in changes.items():
        write_adapter(shelf / kind, Adapter({**adapter.tensors, name: changed}, adapter.config, {}))
        refused = complete(kind)
        assert (refused["status"], refused["error"]["code"]) == (400, "adapter_unusable")
        assert name in refused["error"]["message"]
    strange = {**adapter.tensors, name.replace("layers.0", "layers.9"): adapter.tensors[name].clone()}
    write_adapter(shelf / "strange", Adapter(strange, adapter.config, {}))
    assert "there is no base_model.model.model.layers.9" in complete("strange")["error"]["message"]


@pytest.mark.parametrize(
    "config",
    [
        {"peft_type": "NONSENSE"},
        {"a_key_of_later": 1},
        {"target_modules": ["("]},
        {"r": -1},
        {"lora_alpha": float("nan")},
        {"alpha_pattern": {"q_proj": float("inf")}},
    ],
)
def test_a_configuration_that_peft_cannot_use_is_refused_or_read(complete, shelf, config) -> None:
    adapter = load_adapter_any(shelf / "calm.safetensors")
    write_adapter(shelf / "odd", Adapter(adapter.tensors, {**json.loads(json.dumps(adapter.config)), **config}, {}))
    answer = complete("odd")
    assert answer["status"] == (200 if "a_key_of_later" in config else 400), answer
    assert text_of(complete("calm"))


def test_a_body_without_end_or_too_large_is_not_read(ask_only) -> None:
    assert ask_only("POST", "/v1/completions", b"{}", **{"Content-Length": str(1 << 30)})[0] == 413


def test_requests_at_once_each_get_their_own_adapter(complete) -> None:
    expected_texts = {name: text_of(complete(name)) for name in ("calm", "tiny-llama")}
    found: list[tuple[str, str]] = []

    def work(name: str) -> None:
        found.extend((name, text_of(complete(name))) for _ in range(5))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("calm", "tiny-llama", "calm")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    assert all(expected_texts[name] == text for name, text in found)


def test_a_body_of_unknown_length_is_read_up_to_the_limit(server) -> None:
    def send(pieces: list[bytes]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        with contextlib.suppress(BrokenPipeError):  # refused before all of it was sent
            connection.request("POST", "/v1/completions", iter(pieces), encode_chunked=True)
        status = connection.getresponse().status
        connection.close()
        return status

    whole = json.dumps({"prompt": "x", "max_tokens": 1}).encode()
    assert send([whole[:5], whole[5:]]) == 200
    assert send([b" " * 400_000] * 3) == 413


def test_a_path_that_is_asked_the_wrong_way_is_not_there(ask_only) -> None:
    assert ask_only("GET", "/healthz") == (200, b'{"status":"ok"}')
    for method, path in (("GET", "/v1/completions"), ("GET", "/v1/models/"), ("POST", "/v1/models")):
        status, answer = ask_only(method, path, {})
        assert status == 404
        assert json.loads(answer)["error"]["message"] == f"there is no {path}"


def test_a_stream_that_cannot_begin_is_refused_as_any_other_request(ask_only) -> None:
    for body, expected_status in (({"prompt": "x" * 200}, 400), ({"prompt": "x", "model": "nobody"}, 404)):
        status, answer = ask_only("POST", "/v1/completions", {**body, "stream": True})
        assert status == expected_status
        assert json.loads(answer)["error"]["type"] == "invalid_request_error"


def test_a_failure_of_our_own_is_answered_and_the_server_goes_on(ask, complete, server, monkeypatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(server.model, "generate", lambda *_: 1 / 0)
        status, answer = ask("POST", "/v1/completions", {"prompt": "x"})
    assert status == 500
    assert json.loads(answer)["error"]["message"] == "this request failed; the server's log says why"
    assert complete("calm")["status"] == 200


def test_the_time_of_a_switch_is_told(server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/v1/completions", json.dumps({"model": "calm", "prompt": "x", "max_tokens": 1}))
    response = connection.getresponse()
    response.read()
    connection.close()
    assert float(response.headers["X-Switch-Milliseconds"]) > 0


def test_a_client_that_leaves_its_stream_does_not_keep_the_model(complete, server, monkeypatch) -> None:
    closed = threading.Event()

    def talk_for_ever(*_: object) -> Iterator[Piece]:
        try:
            while True:
                time.sleep(0.001)
                yield Piece("calm ")
        finally:
            closed.set()

    body = json.dumps({"prompt": "x", "stream": True}).encode()
    with monkeypatch.context() as talking:
        talking.setattr(server.model, "generate", talk_for_ever)
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            received = b""
            while received.count(b"calm") < 3:
                more = client.recv(4096)
                assert more, received  # the server hung up: b"" for ever
                received += more
        assert closed.wait(30)
    assert complete("calm")["status"] == 200


def test_more_requests_at_once_than_there_are_threads_are_all_answered(ask) -> None:
    body = {"prompt": "x", "max_tokens": 2, "stream": True}
    with ThreadPoolExecutor(60) as threads:
        found = list(threads.map(lambda _: ask("POST", "/v1/completions", body)[0], range(60)))
    assert found == [200] * 60


async def test_a_client_that_takes_nothing_is_let_go(monkeypatch) -> None:
    monkeypatch.setattr("trainer.serving.application.SILENCE_SECONDS", 0.05)

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    with pytest.raises(TimeoutError):
        await SendLimit(answer)({"type": "http"}, None, lambda _: asyncio.sleep(30))
