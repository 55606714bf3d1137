"""What a person sees of a training: a progress bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.log import write_line
from trainer.training.recipe import Observer, StepReport

LINE_EVERY_STEPS = 10


class Cost(Protocol):
    """Money as the broker counts it: `amount` is an exact decimal in words."""

    amount: str
    currency: str


ReadCost = Callable[[], Cost | None]


def read_no_cost() -> None:
    """Return no cost: without a broker nothing is known of money."""


def describe_cost(read_cost: ReadCost) -> str:
    """Write `cost 1.30 CNY`, or nothing."""
    cost = read_cost()
    return "" if cost is None else f"cost {cost.amount} {cost.currency}"


class PlainLines:
    """One line for every ten steps, and for the first and the last:
    `step 10/80 loss 2.31 tokens/s 210 1.90 it/s 0:00:37 left cost 1.30 CNY`.
    """

    def __init__(self, read_cost: ReadCost = read_no_cost) -> None:
        self._read_cost = read_cost
        self._since = time.monotonic()
        self._step = self._tokens = 0

    def training_started(self, *, step: int, total_steps: int) -> None:
        self._since, self._step = time.monotonic(), step
        write_line(f"training from step {step} to {total_steps}")

    def step_done(self, report: StepReport) -> None:
        self._tokens += report.tokens
        if report.step % LINE_EVERY_STEPS and report.step not in {1, report.total_steps}:
            return
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        pace, tokens_pace = (report.step - self._step) / seconds, self._tokens / seconds
        left = timedelta(seconds=round((report.total_steps - report.step) / max(pace, 1e-9)))
        self._since, self._step, self._tokens = now, report.step, 0
        line = (
            f"step {report.step}/{report.total_steps} loss {report.loss:.4f} tokens/s {tokens_pace:.0f} "
            f"{pace:.2f} it/s {left} left {describe_cost(self._read_cost)}"
        )
        write_line(line.rstrip())

    def validated(self, *, step: int, loss: float, advice: str | None) -> None:
        write_line(f"step {step} validation loss {loss:.4f}")
        if advice is not None:
            write_line(advice)

    def sampled(self, *, step: int, prompt: str, sample: str) -> None:
        write_line(f"step {step} sample of {prompt!r}: {sample}")

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        write_line(f"checkpoint of step {step} in {folder}")


class Silence:
    """Of several processes only the first says anything."""

    def training_started(self, *, step: int, total_steps: int) -> None: ...

    def step_done(self, report: StepReport) -> None: ...

    def validated(self, *, step: int, loss: float, advice: str | None) -> None: ...

    def sampled(self, *, step: int, prompt: str, sample: str) -> None: ...

    def checkpoint_saved(self, folder: Path, step: int) -> None: ...


class ProgressBar:
    """A bar with step, loss, steps per second, the time that is left and, under the broker, the cost so far."""

    def __init__(self, console: Console, read_cost: ReadCost = read_no_cost) -> None:
        self._read_cost = read_cost
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[cost]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("loading", total=None, loss="-", speed="", cost="")
        self._started, self._first_step = time.monotonic(), 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def training_started(self, *, step: int, total_steps: int) -> None:
        self._started, self._first_step = time.monotonic(), step
        self._progress.update(self._task, description="training", total=total_steps, completed=step)

    def step_done(self, report: StepReport) -> None:
        speed = (report.step - self._first_step) / max(time.monotonic() - self._started, 1e-9)
        loss, pace = f"{report.loss:.4f}", f"{speed:.2f} it/s"
        cost = describe_cost(self._read_cost)
        self._progress.update(self._task, completed=report.step, loss=loss, speed=pace, cost=cost)

    def validated(self, *, step: int, loss: float, advice: str | None) -> None:
        self._print(f"step {step} validation loss {loss:.4f}")
        if advice is not None:
            self._print(advice)

    def sampled(self, *, step: int, prompt: str, sample: str) -> None:
        self._print(f"step {step} sample of {prompt!r}: {sample}")

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        self._print(f"checkpoint of step {step} in {folder}")

    def _print(self, line: str) -> None:
        self._progress.console.print(line, soft_wrap=True, highlight=False, markup=False)


@contextmanager
def showing_progress(read_cost: ReadCost = read_no_cost, console: Console | None = None) -> Iterator[Observer]:
    """Show a bar where there is a terminal, else plain lines."""
    console = console or Console()
    if not console.is_terminal:
        yield PlainLines(read_cost)
        return
    with ProgressBar(console, read_cost) as bar:
        yield bar
