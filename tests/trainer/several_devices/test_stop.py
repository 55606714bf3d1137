"""All processes of a run end after the same step, whenever the word comes."""

import pytest
import torch
import torch.distributed as dist

from trainer.several_devices import processes
from trainer.several_devices.processes import Processes
from trainer.stop import StopFlag, StopReason


@pytest.fixture(autouse=True)
def without_group(monkeypatch) -> None:
    monkeypatch.setattr(processes, "_on_device", lambda tensor: tensor)


def test_a_stop_that_comes_while_they_agree_waits_for_the_next_step(monkeypatch) -> None:
    """The first left alone then, and the others waited for its part of the next step for ever."""
    stop = StopFlag()

    def give_the_signal_meanwhile(code: torch.Tensor, op: dist.ReduceOp) -> None:
        stop.request(StopReason.PREEMPTED)

    monkeypatch.setattr(dist, "all_reduce", give_the_signal_meanwhile)
    first = Processes(rank=0, count=2)
    assert first.agree_on_stop(stop) is None
    assert first.agree_on_stop(stop) is StopReason.PREEMPTED


def test_the_word_that_another_was_given_ends_this_one_too(monkeypatch) -> None:
    stop = StopFlag()
    codes = {reason: place for place, reason in enumerate(StopReason, start=1)}
    monkeypatch.setattr(dist, "all_reduce", lambda code, **_: code.fill_(codes[StopReason.PAUSE]))
    assert Processes(rank=1, count=2).agree_on_stop(stop) is StopReason.PAUSE
    assert stop.reason is StopReason.PAUSE
