"""Runs measured processes in turn, one round each, and keeps what they say."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Self

from benchmarks.trainer.rounds import MARK, Round
from trainer.__main__ import prepare_environment

ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
PATIENCE_SECONDS = 30.0


def read_trainer_environment() -> dict[str, str]:
    """Return what `trainer train` sets for itself before it loads torch."""
    environment = dict(os.environ)
    prepare_environment(environment)
    return environment


@dataclass
class Side:
    """One measured process. `start_seconds`: from its start to the end of its first step.

    `environment` is what its own command sets for itself; without any, it runs with torch's defaults.
    """

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 0.0
    rounds: list[Round] = field(default_factory=list)

    def start(self) -> Self:
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed in stop
        started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **self.environment, **ENVIRONMENT},
        )
        self.start_seconds = self._read_round().ended_at - started
        self._go()
        return self

    def take_round(self) -> None:
        self._go()
        self.rounds.append(self._read_round())

    def warm_up(self) -> None:
        self._read_round()

    def stop(self) -> None:
        if self._process.poll() is None:
            try:
                self._say("stop")
                self._process.wait(PATIENCE_SECONDS)
            except (subprocess.TimeoutExpired, OSError):
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(OSError):  # what is left in the pipe of a process that is gone
                if pipe is not None:
                    pipe.close()

    def median(self, name: str) -> float:
        return statistics.median(getattr(done, name) for done in self.rounds)

    @property
    def peak_bytes(self) -> int:
        return max(done.peak_bytes for done in self.rounds)

    def _go(self) -> None:
        self._say("go")

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _read_round(self) -> Round:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                return Round(**json.loads(line.removeprefix(MARK)))
        self._errors.seek(0)
        raise RuntimeError(f"{self.module} ended early:\n{self._errors.read()[-4000:]}")


def interleave(sides: list[Side], rounds: int) -> None:
    """Start the sides one after the other, then let each take `rounds` rounds in turn. All are ended."""
    started: list[Side] = []
    try:
        for side in sides:
            started.append(side)
            side.start()
            side.warm_up()
        for _ in range(rounds):
            for side in sides:
                side.take_round()
    finally:
        for side in started:
            side.stop()
