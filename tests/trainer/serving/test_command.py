"""The end of `trainer serve`: by SIGTERM it is no failure, and answers in hand are finished."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trainer.serving.command import open_server

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


def test_the_end_waits_for_the_answer_in_hand_but_not_for_ever(tiny_source, tmp_path) -> None:
    with open_server(tiny_source, tmp_path, host="127.0.0.1", port=0, kept=1) as server:
        ended = threading.Event()

        def finish() -> None:
            server.finish_answers(30)
            ended.set()

        with server.answering():
            started = time.monotonic()
            server.finish_answers(0.05)
            assert 0.05 <= time.monotonic() - started < 10
            thread = threading.Thread(target=finish)
            thread.start()
            assert not ended.wait(0.1)
        assert ended.wait(10)
        thread.join()
