"""Time boxes: each row in a process of its own, ended when its seconds are over; the whole in its minutes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.gpu.rows import BenchRow

LEAST_SECONDS = 10.0  # less is not worth a process: it takes that to import torch
SECONDS_TO_DIE = 5.0
LAST_WORDS = 600


@dataclass
class Outcome:
    """What the rows said, and why each other said nothing, in their order."""

    results: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        """Whether a row broke; one that lacks time, memory or a library did not."""
        return any(reason.startswith("failed") for reason in self.left_out.values())


RunRow = Callable[[BenchRow, float], dict[str, Any]]


class RowFailed(RuntimeError):
    """The row's process ended without a result; the message is the end of what it said."""


class RowLeftOut(RuntimeError):
    """The row cannot be measured here, by no fault of the code; the message says what it lacks."""


class RowTooLong(RuntimeError):
    """The row's seconds were over before it ended."""


def run_rows(
    rows: Sequence[BenchRow],
    run: RunRow,
    *,
    seconds: float,
    stretch: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
    keep: Callable[[Outcome], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run the rows one after the other while there is time; a row that fails costs the others nothing.

    `seconds` are all there are, `stretch` is how often each row may have its box.
    `keep` is called with what there is after each row, so that whoever ends the whole early loses one row at most;
    `tell` hears what became of each. Ctrl-C and SIGTERM leave the rest out.
    """
    outcome, ends_at, is_ended = Outcome(), clock() + seconds, False
    for row in rows:
        began = clock()
        if is_ended or ends_at - began < LEAST_SECONDS:
            outcome.left_out[row.name] = "ended before it" if is_ended else f"the {seconds:.0f} s were over"
            continue
        box = min(row.box * stretch, ends_at - began)
        try:
            outcome.results.append(run(row, box))
            tell(f"{row.name}: measured in {clock() - began:.0f} s")
        except RowTooLong:
            outcome.left_out[row.name] = f"took longer than its {box:.0f} s"
        except RowLeftOut as error:
            outcome.left_out[row.name] = str(error)
        except RowFailed as error:
            outcome.left_out[row.name] = f"failed: {error}"
        except KeyboardInterrupt:
            outcome.left_out[row.name], is_ended = "ended in the midst of it", True
        if row.name in outcome.left_out:
            tell(f"{row.name}: {outcome.left_out[row.name].splitlines()[-1]}")
        keep(outcome)
    return outcome


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, with which a time limit ends a command, do as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_in_process(row: BenchRow, box: float, *, rehearses: bool) -> dict[str, Any]:
    """Run one row in a process of its own. Raises: RowTooLong, RowLeftOut, RowFailed."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--row", row.name, *(["--rehearse"] if rehearses else [])]
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-", ignore_cleanup_errors=True) as folder:
        answer = Path(folder) / "row.json"
        surroundings = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "LORA_TRAINER_CACHE": folder}
        surroundings["PYTHONDONTWRITEBYTECODE"] = ""  # else every row compiles torch and transformers anew
        status, said = run_boxed([*command, "--answer", str(answer)], box, Path(folder) / "said.txt", surroundings)
        if status or not answer.is_file():
            raise RowFailed(describe_end(status, said))
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "lacks" in result:
        raise RowLeftOut(result["lacks"])
    return result | {"log": [*result["log"], *said.splitlines()[-20:]]}


def run_boxed(command: Sequence[str], box: float, said: Path, surroundings: Mapping[str, str]) -> tuple[int, str]:
    """Run a command for `box` seconds at most; returns its status and what it said. Raises: RowTooLong.

    It writes into a file and has a session of its own: a compiler's helpers, which outlive a process that is killed,
    would hold a pipe open for ever, and are ended with it.
    """
    with said.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **surroundings},
        )
        try:
            status = process.wait(timeout=box)
        except subprocess.TimeoutExpired as error:
            raise RowTooLong(f"{box:.0f} s") from error
        finally:
            _end_session(process)
    return status, said.read_text(encoding="utf-8", errors="replace").strip()


def describe_end(status: int, said: str) -> str:
    """Describe how a process without a result ended: by a signal, or by the end of what it said."""
    last = said[-LAST_WORDS:]
    if status >= 0:
        return last or f"exit code {status}"
    name = signal.Signals(-status).name
    cause = ", as where the machine's own memory is gone" if name == "SIGKILL" else ""
    return f"{last}\nended by {name}{cause}".strip()


def _end_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # one that hangs in the driver goes on hanging, and the next row begins
        process.wait(timeout=SECONDS_TO_DIE)
