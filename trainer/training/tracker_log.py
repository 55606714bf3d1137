"""`log_to: mlflow`, `wandb`, `swanlab`: what the console shows, told to a tracker from a thread of its own.

Training never waits for a tracker, and no failure of one reaches it: what cannot be told is left out, and said once.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trainer.errors import FencedOff, TrainerError
from trainer.log import strike, write_line
from trainer.training.trackers import Entry, HowEnded, Tracker

if TYPE_CHECKING:
    from trainer.training.recipe import Observer, StepReport

# Numbers that wait for a tracker that is slow; of more the oldest are left out.
MOST_WAITING = 10_000
MOST_AT_ONCE = 200  # MLflow takes a thousand numbers in one request
LONGEST_END_SECONDS = 60.0
LONGEST_WHY = 200
STOPS = (KeyboardInterrupt, SystemExit, FencedOff)


class TrackerLog:
    """Passes everything on, and tells a tracker loss, learning rate, memory and validation loss by step.

    Threads: the recipe adds, one of its own opens the run at the tracker, tells it, and ends it.
    """

    def __init__(
        self,
        observer: "Observer",
        name: str,
        opens: Callable[[], Tracker],
        *,
        longest_end_seconds: float = LONGEST_END_SECONDS,
    ) -> None:
        self._observer, self._name, self._opens = observer, name, opens
        self._longest_end_seconds = longest_end_seconds
        self._waiting = deque[Entry](maxlen=MOST_WAITING)
        self._wake, self._is_closing = threading.Event(), False
        self._left_out = 0
        self._is_done = False
        self._how, self._why = HowEnded.KILLED, ""
        # A daemon: a tracker that answers nothing must not keep the process of a training that is over.
        self._thread = threading.Thread(target=self._tell_all, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """End the run at the tracker; one that takes longer than a moment is left alone.

        Without an error it is finished where its last step was done, and else was stopped on the way.
        """
        if error is None:
            self._how = HowEnded.FINISHED if self._is_done else HowEnded.KILLED
        elif not isinstance(error, STOPS):
            self._how, self._why = HowEnded.FAILED, _describe(error)
        self._is_closing = True
        self._wake.set()
        self._thread.join(self._longest_end_seconds)
        if self._thread.is_alive():
            write_line(
                f"{self._name} did not end its run within {self._longest_end_seconds:.0f} seconds; it is left alone"
            )

    def training_started(self, *, step: int, total_steps: int) -> None:
        self._is_done = step >= total_steps
        self._observer.training_started(step=step, total_steps=total_steps)

    def step_done(self, report: "StepReport") -> None:
        self._observer.step_done(report)
        self._is_done = report.step >= report.total_steps
        told = {
            "train/loss": report.loss,
            "train/learning_rate": report.learning_rate,
            "train/tokens": float(report.tokens),
            "memory/peak_gib": report.peak_memory_bytes / 2**30,
        }
        self._add(told, report.step)

    def validated(self, *, step: int, loss: float, advice: str | None) -> None:
        self._observer.validated(step=step, loss=loss, advice=advice)
        self._add({"validation/loss": loss}, step)

    def sampled(self, *, step: int, prompt: str, sample: str) -> None:
        self._observer.sampled(step=step, prompt=prompt, sample=sample)

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        self._observer.checkpoint_saved(folder, step)

    def _add(self, values: Mapping[str, float], step: int) -> None:
        told = {name: value for name, value in values.items() if math.isfinite(value)}
        self._left_out += len(self._waiting) == MOST_WAITING
        self._waiting.append((told, step))
        self._wake.set()

    def _tell_all(self) -> None:
        try:
            tracker = self._opens()
            self._tell_until_closed(tracker)
            tracker.end(self._how, self._why)
        except BaseException as error:  # noqa: BLE001 (a tracker that fails, or leaves, must not harm a training)
            told = " ".join(str(error).split())[:200]
            write_line(f"{self._name} is told nothing more ({type(error).__name__}: {told}); the training goes on")
        if self._left_out:
            write_line(f"{self._name} was too slow for {self._left_out} entries, which are left out")

    def _tell_until_closed(self, tracker: Tracker) -> None:
        while True:
            is_closing = self._is_closing
            while self._waiting:
                count = min(len(self._waiting), MOST_AT_ONCE)
                tracker.tell([self._waiting.popleft() for _each in range(count)])
            if is_closing:
                return
            self._wake.wait()
            self._wake.clear()


def _describe(error: BaseException) -> str:
    """Describe an error for a tracker: a fault of ours by its kind alone, since it may tell of this machine."""
    return (
        strike(" ".join(str(error).split())[:LONGEST_WHY]) if isinstance(error, TrainerError) else type(error).__name__
    )
