"""Trackers are told what the console shows, and harm no training; `tests/clients` tells the real ones."""

import contextlib
import threading
from pathlib import Path

import pytest

from trainer.errors import BadInput, FencedOff
from trainer.training import tracker_log
from trainer.training.recipe import StepReport
from trainer.training.tracker_log import TrackerLog
from trainer.training.trackers import HowEnded, require_package


class Silent:
    """An observer that counts what it hears."""

    def __init__(self) -> None:
        self.steps = 0

    def training_started(self, *, step, total_steps) -> None: ...

    def step_done(self, _report) -> None:
        self.steps += 1

    def validated(self, *, step, loss, advice) -> None: ...

    def sampled(self, *, step, prompt, sample) -> None: ...

    def checkpoint_saved(self, folder, step) -> None: ...


class Paper:
    """A tracker that writes down what it is told."""

    def __init__(self) -> None:
        self.told, self.ended = [], None

    def tell(self, entries) -> None:
        self.told += entries

    def end(self, how, why) -> None:
        self.ended = how, why


def report(step: int, loss: float = 2.5) -> StepReport:
    return StepReport(step, 3, 1, loss, 40, 2**30, 1e-4)


def test_a_tracker_is_told_each_step_in_order_and_its_run_is_ended() -> None:
    paper = Paper()
    with TrackerLog(Silent(), "paper", lambda: paper) as log:
        log.step_done(report(1))
        log.validated(step=1, loss=2.25, advice=None)
        log.step_done(report(2, float("nan")))
        log.checkpoint_saved(Path(), 2)
    values = {"train/loss": 2.5, "train/learning_rate": 1e-4, "train/tokens": 40.0, "memory/peak_gib": 1.0}
    assert paper.told[:2] == [(values, 1), ({"validation/loss": 2.25}, 1)]
    assert "train/loss" not in paper.told[2][0]
    assert paper.ended == (HowEnded.KILLED, ""), "it was stopped before its third step"


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (None, (HowEnded.FINISHED, "")),
        (KeyboardInterrupt(), (HowEnded.KILLED, "")),
        (FencedOff("another process has it"), (HowEnded.KILLED, "")),
        (BadInput("data", "has no rows"), (HowEnded.FAILED, "data: has no rows")),
        (OSError("/home/operator/models is gone"), (HowEnded.FAILED, "OSError")),
    ],
    ids=["done", "interrupted", "fenced-off", "failed", "a-fault"],
)
def test_a_run_ends_at_its_tracker_as_the_training_did(error, ended) -> None:
    paper = Paper()
    with contextlib.suppress(type(error or BadInput)), TrackerLog(Silent(), "paper", lambda: paper) as log:
        log.step_done(report(3))
        if error is not None:
            raise error
    assert paper.ended == ended


@pytest.mark.parametrize("fails", ["open", "tell", "end"])
def test_a_tracker_that_fails_harms_nothing_and_is_named_once(fails, capsys) -> None:
    def fail(*_told) -> None:
        raise ConnectionError("nobody is there")

    def open_paper() -> Paper:
        if fails == "open":
            fail()
        return paper

    paper, silent = Paper(), Silent()
    if fails != "open":
        setattr(paper, fails, fail)
    with TrackerLog(silent, "paper", open_paper) as log:
        for step in range(1, 4):
            log.step_done(report(step))
    assert silent.steps == 3
    told = capsys.readouterr().out
    assert told == "paper is told nothing more (ConnectionError: nobody is there); the training goes on\n"


def test_a_tracker_that_hangs_holds_up_neither_a_step_nor_the_end(capsys) -> None:
    gone, silent = threading.Event(), Silent()

    def hang() -> Paper:
        gone.wait()
        return Paper()

    with TrackerLog(silent, "paper", hang, longest_end_seconds=0.01) as log:
        for step in range(tracker_log.MOST_WAITING + 5):
            log.step_done(report(step + 1))
    assert silent.steps == tracker_log.MOST_WAITING + 5
    assert "paper did not end its run" in capsys.readouterr().out
    gone.set()
    log._thread.join()
    assert "too slow for 5 entries" in capsys.readouterr().out


def test_a_package_that_is_not_installed_is_told_by_its_command(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BadInput, match=r"log_to: .*pip install mlflow-skinny"):
        require_package("mlflow")
