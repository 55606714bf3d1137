"""CUDA graphs are taken where their trial says so, and a trial leaves nothing behind: told without a GPU."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from trainer.kernels.choice import Choice, choose_graphs
from trainer.training.graph_trial import Computed, choose_rows, judge, try_graphs
from trainer.training.optimizer_step import Stepper, create_scaler

PLAIN, GRAPHS = {"backend": "eager"}, {"backend": "eager", "mode": None}
ROWS = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, 0.5, 2.0])]


@dataclass(frozen=True)
class Batch:
    inputs: torch.Tensor
    tokens: int = 1
    weight: float = 1.0


class Compiled:
    """A small family whose compiled blocks answer as a test wants: `wrong` where graphs would write over an answer."""

    def __init__(self, *, wrong: float = 0.0, fails: Exception | None = None) -> None:
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        self.wrong, self.fails, self.options = wrong, fails, list[Mapping[str, Any]]()

    def compile_blocks(self, **options: Any) -> None:
        self.options.append(options)

    def collate(self, rows: Sequence[torch.Tensor]) -> Batch:
        return Batch(torch.stack(list(rows)) + torch.randn(len(rows), 3))

    def compute_loss(self, batch: Batch) -> torch.Tensor:
        loss = self.model(batch.inputs).square().mean()
        if self.options[-1] != GRAPHS:
            return loss
        if self.fails is not None:
            raise self.fails
        return loss * (1 + self.wrong)


def try_on(family: Compiled, seconds: Sequence[float] = (1.0, 1.0, 0.5)) -> Choice:
    """Try graphs, told how long a batch takes: without them, again, and with them."""
    took = itertools.cycle(seconds)

    def measure(act: Any) -> float:
        act()
        return next(took)

    return try_graphs(family, ROWS, plain=PLAIN, graphs=GRAPHS, measure=measure)


def test_graphs_that_answer_the_same_and_faster_are_taken() -> None:
    family = Compiled()
    choice = try_on(family)
    assert (choice.kernel, choice.reason) == ("graphs", "2.00 times as fast, and as near as the same without them")
    assert family.options == [PLAIN, GRAPHS]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's, about its own compiler
@pytest.mark.parametrize(
    ("blocks", "seconds", "reason"),
    [
        ({}, (1.0, 1.0, 1.0), "they gain nothing: 1.00 times as fast"),  # as on a CPU, which has none
        ({}, (1.0, 0.5, 0.5), "they gain nothing: 1.00"),
        ({"wrong": 1e-3}, (1.0, 1.0, 0.5), "of the answer's length off, which is 0.0e"),
        ({"wrong": float("nan")}, (1.0, 1.0, 0.5), "they are inf of the answer's length off"),
        ({"fails": RuntimeError("overwritten by a run")}, (1.0,), "their trial failed (RuntimeError: overwritten by"),
        ({"fails": torch.OutOfMemoryError("none left")}, (1.0,), "their trial failed (OutOfMemoryError: none left)"),
    ],
    ids=["no gain", "noise", "wrong", "not a number", "overwritten", "out of memory"],
)
def test_what_is_not_right_and_faster_is_left_for_blocks_without_graphs(blocks, seconds, reason) -> None:
    family = Compiled(**blocks)
    choice = try_on(family, seconds)
    assert choice.kernel == "compile"
    assert reason in choice.reason
    assert family.options == [PLAIN, GRAPHS, PLAIN]


def test_without_a_number_nothing_is_as_near_as_itself() -> None:
    nothing = Computed(torch.tensor([float("nan")]), 1.0)
    assert judge(nothing, nothing, nothing).kernel == "compile"


def test_graphs_that_take_more_memory_than_the_job_was_said_to_are_left() -> None:
    plain, graphed = Computed(torch.ones(3), 1.0, 2**30), Computed(torch.ones(3), 0.5, 5 * 2**28)
    assert judge(plain, plain, graphed) == Choice("compile", "they take 1.25 GiB against 1.00")


def test_what_differs_from_itself_may_differ_as_much_with_graphs() -> None:
    numbers = torch.ones(4)
    plain, again = Computed(numbers, 1.0), Computed(numbers + 0.01, 1.0)
    assert judge(plain, again, Computed(numbers - 0.015, 0.5)).kernel == "graphs"
    assert judge(plain, again, Computed(numbers - 0.03, 0.5)).kernel == "compile"


def test_a_trial_leaves_adapter_gradients_and_generators_as_they_were() -> None:
    family = Compiled(fails=RuntimeError("midway"))
    family.model.eval()
    torch.manual_seed(7)
    before = [parameter.detach().clone() for parameter in family.model.parameters()]
    try_on(family)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(*pair) for pair in zip(before, family.model.parameters(), strict=True))
    assert [parameter.grad for parameter in family.model.parameters()] == [None] * 4
    assert not family.model.training


def test_a_batch_is_of_the_shape_that_most_rows_have() -> None:
    assert choose_rows("abcde", [(8, 8), (8, 16), (8, 16), (8, 8), (8, 16)], 4) == ["b", "c", "e", "b"]


JOB = {"shapes": 3, "processes": 1, "steps": 10_000, "step_seconds": 0.5, "gain": 0.05, "trial_seconds": 90.0}


@pytest.mark.parametrize(
    ("change", "kernel", "reason"),
    [
        ({}, "try", "10000 steps save at least 250 s where graphs do; their trial takes 90 s"),
        ({"shapes": 0}, "plain", "the lengths of rows vary"),
        ({"shapes": 201}, "plain", "201 shapes in 10000 steps repeat too seldom"),
        ({"processes": 2}, "plain", "each of several processes"),
        ({"step_seconds": 0.3}, "plain", "save at least 150 s"),
        ({"step_seconds": None}, "plain", "save at least 0 s"),
    ],
)
def test_graphs_are_tried_where_shapes_repeat_and_a_trial_pays(change, kernel, reason) -> None:
    choice = choose_graphs(**JOB | change)
    assert choice.kernel == kernel
    assert reason in choice.reason


def test_gradients_that_are_kept_lie_where_they_lay_and_give_the_same_weights() -> None:
    """A gradient that was taken over from a graph would be written again by its next replay."""
    weights, places = [], []
    for keeps in (False, True):
        torch.manual_seed(1)
        family = Compiled()
        family.options.append(PLAIN)
        trained = list(family.model.parameters())
        optimizer = torch.optim.AdamW(trained, lr=0.1)
        stepper = Stepper(family, optimizer, trained, 1, create_scaler(family.model), keeps_gradients=keeps)
        for step in (1, 2):
            stepper.take_step(ROWS, step=step)
            places.append([parameter.grad.data_ptr() for parameter in trained])
        weights.append([parameter.detach() for parameter in trained])
    assert places[2] == places[3]
    assert all(torch.equal(*pair) for pair in zip(*weights, strict=True))
