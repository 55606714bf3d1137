"""Losses that come late: told of in their order, none lost, and never more than two steps behind."""

import pytest

from trainer.errors import LossNotFinite
from trainer.training.arrivals import MOST_ON_THE_WAY, Arrivals, LossOnTheWay, TakenStep


class LateLoss(LossOnTheWay):
    """A loss of a GPU: it comes when it is let, or when it is read."""

    def __init__(self, value: float) -> None:
        self.value, self.is_here = value, False

    def has_arrived(self) -> bool:
        return self.is_here

    def read(self) -> float:
        return self.value


def make_steps(*values: float) -> list[TakenStep]:
    return [TakenStep(step, 5, LateLoss(value), (step,)) for step, value in enumerate(values, start=1)]


def test_steps_are_told_of_in_their_order_when_they_come() -> None:
    told: list[int] = []
    arrivals = Arrivals(lambda taken: told.append(taken.step))
    first, second, third, fourth = make_steps(1.0, 2.0, 3.0, 4.0)
    arrivals.add(first)
    assert told == []
    second.loss.is_here = True
    arrivals.add(second)
    assert told == []  # the first is not there yet
    first.loss.is_here = True
    arrivals.add(third)
    assert told == [1, 2]
    arrivals.add(fourth)
    arrivals.wait_for_all()
    assert told == [1, 2, 3, 4]


def test_no_more_than_two_are_on_their_way() -> None:
    told: list[int] = []
    arrivals = Arrivals(lambda taken: told.append(taken.step))
    for taken in make_steps(*(1.0,) * 6):
        arrivals.add(taken)
    assert told == [1, 2, 3, 4]
    assert MOST_ON_THE_WAY == 2


def test_a_loss_that_is_not_finite_is_told_with_its_own_step_and_rows() -> None:
    arrivals = Arrivals(TakenStep.read_loss)
    for taken in make_steps(1.0, float("nan"), 3.0)[:2]:
        arrivals.add(taken)
    with pytest.raises(LossNotFinite, match=r"the loss of step 2 is nan.*rows 2 of"):
        arrivals.wait_for_all()
