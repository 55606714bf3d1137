"""What a person sees: pace, time left and, under the broker, the cost."""

import io

from rich.console import Console

from trainer.protocol.client import Cost
from trainer.training.console import PlainLines, ProgressBar, showing_progress
from trainer.training.recipe import StepReport

COST = Cost(amount="12.34", currency="CNY")


def report(step: int) -> StepReport:
    return StepReport(step, 20, 1, 2.5, tokens=100, peak_memory_bytes=0)


def test_lines_tell_pace_time_left_and_cost(capsys) -> None:
    lines = PlainLines(lambda: COST)
    lines.training_started(step=0, total_steps=20)
    for step in range(1, 21):
        lines.step_done(report(step))
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in told] == ["1/20", "10/20", "20/20"]
    assert all("it/s" in line and line.endswith(" left cost 12.34 CNY") for line in told)


def test_lines_without_a_broker_say_nothing_of_money(capsys) -> None:
    lines = PlainLines()
    lines.training_started(step=0, total_steps=20)
    lines.step_done(report(1))
    assert "cost" not in capsys.readouterr().out


def test_the_bar_shows_the_cost_as_it_grows() -> None:
    screen, costs = io.StringIO(), iter([None, COST])
    console = Console(file=screen, force_terminal=True, width=160)
    with ProgressBar(console, lambda: next(costs)) as bar:
        bar.training_started(step=0, total_steps=20)
        bar.step_done(report(1))
        assert "cost" not in screen.getvalue()
        bar.step_done(report(2))
    assert "cost 12.34 CNY" in screen.getvalue()


def test_a_bar_only_where_there_is_a_terminal() -> None:
    for terminal, kind in ((True, ProgressBar), (False, PlainLines)):
        with showing_progress(console=Console(file=io.StringIO(), force_terminal=terminal)) as shown:
            assert type(shown) is kind
