from itertools import islice

import pytest

from benchmarks.estimator.fit import prepare
from benchmarks.estimator.held_out import Error, summarize, summarize_programs
from benchmarks.estimator.public_runs import read_public_runs


def errors_of(program, ratio, rows):
    runs = (run for run in read_public_runs() if run.program == program)
    return [Error(prepare(run.to_published()), ratio) for run in islice(runs, rows)]


def test_a_program_of_many_rows_counts_as_one_among_programs():
    errors = [*errors_of("prime-rl", 1.1, 7), *errors_of("vectorlm", 1.3, 1), *errors_of("xtuner", 0.5, 1)]
    assert summarize(errors) == pytest.approx(0.1)
    assert summarize_programs(errors) == pytest.approx(0.3)
