from dataclasses import replace
from itertools import islice

import pytest

from benchmarks.estimator.bars import judge_apart
from benchmarks.estimator.fit import prepare
from benchmarks.estimator.held_out import Error, HeldOut
from benchmarks.estimator.public_runs import read_public_runs


@pytest.fixture(scope="module")
def rows():
    runs = (run for run in read_public_runs() if run.program == "vectorlm")
    return [prepare(run.to_published()) for run in islice(runs, 4)]


def judged(rows, stated):
    prepared = [replace(row, row=replace(row.row, leaves_open=says)) for row, says in zip(rows, stated, strict=True)]
    errors = [Error(row, 1 + place / 10, is_covered=place > 0) for place, row in enumerate(prepared)]
    return {row.name: row.ours for row in judge_apart(prepared, HeldOut(errors, errors, [prepared[0]]))}


def test_rows_that_leave_something_open_judge_coverage_and_no_median(rows):
    found = judged(rows, [None, "memory", "time", "both"])
    assert found["time of text, kept apart: median error"] == pytest.approx(0.05)
    assert found["time of text, kept apart, all rows: median error"] == pytest.approx(0.15)
    assert found["time, kept apart: below p90, at least"] == pytest.approx(3 / 4)
    assert found["ran, said not to fit, kept apart"] == 1


def test_where_every_row_states_all_nothing_stands_beside(rows):
    assert not [name for name in judged(rows, [None] * 4) if "all rows" in name]


def test_every_program_counts_as_one_where_p50_is_judged(rows):
    conditions = rows[0].row.conditions.model_copy(update={"program": "another"})
    other = replace(rows[0], row=replace(rows[0].row, conditions=conditions))
    errors = [*(Error(row, 1.0) for row in rows), Error(other, 0.9)]
    found = {row.name: row for row in judge_apart([*rows, other], HeldOut(errors, errors, []))}
    assert found["memory, kept apart: at or below p50, at least"].ours == pytest.approx(1 / 2)
    high = {row.name: row.holds for row in judge_apart(rows, HeldOut(errors[:-1], errors[:-1], []))}
    assert high["time of text, kept apart: at or below p50, at least"]
    assert not high["time of text, kept apart: at or below p50, at most"]
