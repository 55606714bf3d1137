from dataclasses import replace
from itertools import islice

import pytest

from benchmarks.estimator.fit import fit_time, prepare
from benchmarks.estimator.held_out import Error, summarize, summarize_programs
from benchmarks.estimator.public_runs import read_public_runs
from pricing.resources.shipped_constants import load_device_constants


def errors_of(program, ratio, rows):
    runs = (run for run in read_public_runs() if run.program == program)
    return [Error(prepare(run.to_published()), ratio) for run in islice(runs, rows)]


def test_a_program_of_many_rows_counts_as_one_among_programs():
    errors = [*errors_of("prime-rl", 1.1, 7), *errors_of("vectorlm", 1.3, 1), *errors_of("xtuner", 0.5, 1)]
    assert summarize(errors) == pytest.approx(0.1)
    assert summarize_programs(errors) == pytest.approx(0.3)


def test_what_is_done_beside_steps_is_part_of_a_whole_run_of_text_alone():
    """Fault of before: figures of whole runs were said to take a tenth less than they did, steps timed alone not."""
    text = next(run for run in read_public_runs() if run.program == "finqa-lora").to_published()
    pictures = next(run for run in read_public_runs() if run.program == "naruto-sdxl-t4").to_published()
    constants = load_device_constants().steps
    for row, more in ((text, constants.beside_steps), (pictures, 1.0)):
        whole, alone = (
            prepare(replace(row, is_whole_run=is_whole)).estimate_seconds(constants).value for is_whole in (True, False)
        )
        assert whole / alone == pytest.approx(more)


def test_a_program_of_many_rows_teaches_as_one():
    """Fault of before: frameworks with tables of their own counted four times a stranger's script."""
    one = next(run for run in read_public_runs() if run.program == "xtuner").to_published()
    many = replace(one, seconds=one.seconds * 1.2, conditions=one.conditions.model_copy(update={"program": "other"}))
    rows = [prepare(one), *[prepare(many)] * 9]
    once = fit_time([prepare(one), prepare(many)]).traffic
    as_one, as_nine = (fit_time(rows, rows_of_a_program=count).traffic - once for count in (1, 9))
    assert abs(as_one) < abs(as_nine) / 4
