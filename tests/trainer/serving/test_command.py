"""The end of `trainer serve`: by SIGTERM it is no failure, and answers in hand are finished."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trainer.serving.command import open_server
from trainer.serving.text import Piece, Sampling

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_exit_code_0(tiny_model, tmp_path, number) -> None:
    command = [sys.executable, "-m", "trainer", "serve"]
    options = ["--base", str(tiny_model), "--adapters", str(tmp_path), "--port", "0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert "/v1 serves tiny-llama" in process.stdout.readline()
        process.send_signal(number)
        assert process.stdout.read() == "stopped\n"
        assert process.wait(30) == 0


def test_the_end_waits_for_the_answer_in_hand_but_not_for_ever(tiny_source, tmp_path, monkeypatch) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def generate(_text: str, _sampling: Sampling) -> Iterator[Piece]:
        begun.set()
        assert go_on.wait(30)
        yield Piece("calm", "stop", 1, 1)

    def ask(port: int) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "tea?"}))
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def finish() -> None:
        server.finish_answers(30)
        ended.set()

    with (
        open_server(tiny_source, tmp_path, host="127.0.0.1", port=0, kept=1) as server,
        ThreadPoolExecutor() as threads,
    ):
        monkeypatch.setattr(server.model, "generate", generate)
        answer = threads.submit(ask, server.port)
        assert begun.wait(30)
        started = time.monotonic()
        server.finish_answers(0.05)
        assert 0.05 <= time.monotonic() - started < 10
        threads.submit(finish)
        assert not ended.wait(0.5)
        go_on.set()
        assert ended.wait(10)
        status, body = answer.result()
        assert (status, json.loads(body)["choices"][0]["text"]) == (200, "calm")
        with pytest.raises(ConnectionRefusedError):
            ask(server.port)
