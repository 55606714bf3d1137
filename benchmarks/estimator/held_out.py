"""Judging the estimator on sources it has not seen, and on the rest of a source after five of its rows."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.estimator.fit import SCALE_OF_ONE_SOURCE, PreparedRow, fit_memory, fit_time
from benchmarks.estimator.published import UNSLOTH
from pricing.resources.fitting import Prior
from pricing.resources.memory import FitJudgement, estimate_peak
from pricing.resources.time import TIME_PRIORS, TimeConstants

ROWS_TO_CALIBRATE = 5
DRAWS = 5


@dataclass(frozen=True)
class Error:
    """One row, and what was estimated for it over what was published."""

    row: PreparedRow
    ratio: float

    @property
    def size(self) -> float:
        return abs(self.ratio - 1)


def list_sources(rows: Sequence[PreparedRow]) -> list[str]:
    return sorted({row.row.source for row in rows})


def measure_time_errors(rows: Sequence[PreparedRow]) -> list[Error]:
    """Estimate the time of each source's rows under constants fitted to all the others."""
    return [
        Error(row, row.estimate_seconds(constants) / row.seconds)
        for source in list_sources(rows)
        for constants in [fit_time(_without(rows, source))]
        for row in _with_seconds(rows, source)
    ]


def measure_calibrated_errors(rows: Sequence[PreparedRow]) -> list[Error]:
    """Estimate each source of more than five rows under constants that five of them, drawn by a seed, have moved."""
    errors = []
    for source in list_sources(rows):
        own = _with_seconds(rows, source)
        if len(own) <= ROWS_TO_CALIBRATE:
            continue
        believed = _believe(fit_time(_without(rows, source)))
        for seed in range(DRAWS):
            drawn = random.Random(seed).sample(range(len(own)), ROWS_TO_CALIBRATE)
            seen = [own[place] for place in drawn]
            constants = fit_time(seen, believed, scale=SCALE_OF_ONE_SOURCE)
            errors += [
                Error(row, row.estimate_seconds(constants) / row.seconds)
                for place, row in enumerate(own)
                if place not in drawn
            ]
    return errors


def _believe(constants: TimeConstants) -> dict[str, Prior]:
    return {name: Prior(getattr(constants, name), prior.spread, prior.source) for name, prior in TIME_PRIORS.items()}


def measure_memory_errors(rows: Sequence[PreparedRow]) -> tuple[list[Error], list[PreparedRow]]:
    """Estimate each source's peaks under constants fitted to the others; find rows that ran and are said not to fit."""
    errors, wrong = [], []
    for source in list_sources(rows):
        constants = fit_memory(_without(rows, source))
        for row in rows:
            if row.row.source != source or row.row.memory_gib is None:
                continue
            errors.append(Error(row, row.estimate_memory_gib(constants) / row.memory_gib))
            if estimate_peak(row.contents, constants).judge_fit(row.gpu) is FitJudgement.DOES_NOT_FIT:
                wrong.append(row)
    return errors, wrong


def _without(rows: Sequence[PreparedRow], source: str) -> list[PreparedRow]:
    """List what is learnt from: kernels of Unsloth's own are judged, but teach nothing of the usual ones."""
    return [row for row in rows if row.row.source != source and row.row.trainer != UNSLOTH]


def _with_seconds(rows: Sequence[PreparedRow], source: str) -> list[PreparedRow]:
    return [row for row in rows if row.row.source == source and row.row.seconds is not None]


def summarize(errors: Sequence[Error]) -> float:
    """Take the median absolute error, as a share."""
    return median(error.size for error in errors)
