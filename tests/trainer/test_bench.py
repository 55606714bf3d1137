"""The benchmark's own machinery: rounds end where they should, results are kept a row at a time."""

import io
import json

import pytest

from benchmarks.row import Row
from benchmarks.trainer import __main__ as bench
from benchmarks.trainer.interleave import Side, interleave
from benchmarks.trainer.rounds import MARK, Round, Rounds

COUNTING = """
import sys
from benchmarks.trainer.rounds import Rounds
rounds = Rounds()
rounds.steps_per_round = 3
while rounds.step_done():
    pass
"""


def test_the_first_step_is_a_round_of_its_own_and_rounds_end_with_epochs(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("go\ngo\nstop\n"))
    rounds = Rounds()
    rounds.steps_per_round = 4
    steps = 1
    while rounds.step_done():
        steps += 1
    rounds = [json.loads(line.removeprefix(MARK)) for line in capsys.readouterr().out.splitlines()]
    assert [done["steps"] for done in rounds] == [1, 3, 4]
    assert steps == 8
    assert all(done["peak_bytes"] > 0 for done in rounds)


def test_two_sides_take_rounds_in_turn(tmp_path, monkeypatch) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sides = [Side("counting", ()), Side("counting", ())]
    interleave(sides, 4)
    ends = [[done.ended_at for done in side.rounds] for side in sides]
    assert [len(side.rounds) for side in sides] == [4, 4]
    assert all(done.steps == 3 for side in sides for done in side.rounds)
    in_turn = [moment for pair in zip(*ends, strict=True) for moment in pair]
    assert in_turn == sorted(in_turn)
    assert sides[0].start_seconds > 0


def test_a_side_that_fails_says_why(tmp_path, monkeypatch) -> None:
    (tmp_path / "failing.py").write_text("raise SystemExit('no such model')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="no such model"):
        interleave([Side("failing", ())], 1)


def test_the_median_of_the_rounds_counts() -> None:
    side = Side("x", (), rounds=[Round(1, seconds, seconds, 0.0, 5) for seconds in (9.0, 1.0, 2.0)])
    assert side.median("wall_seconds") == 2.0


def test_a_row_takes_the_place_of_its_former_self(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    bench.merge_results([Row("a", "s", 1, "peer", 2, 1.0), Row("b", "s", 1, "peer", 2, 1.0)], "A machine, 2 cores")
    file = bench.merge_results([Row("a", "s", 3, "peer", 2, 1.0)], "A machine, 2 cores")
    assert file.name == "trainer-a-machine-2-cores.json"
    assert [(row["name"], row["ours"]) for row in json.loads(file.read_text())] == [("a", 3), ("b", 1)]
