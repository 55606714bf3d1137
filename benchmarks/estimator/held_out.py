"""Judging the estimator on programs it has not seen, and on the rest of a program after five of its rows."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.estimator.doubts import DoubtfulError, find_belief, find_strangers, fit_doubts, is_first
from benchmarks.estimator.fit import INDEPENDENT_ROWS, SCALE_OF_ONE_SOURCE, PreparedRow, fit_memory, fit_time
from benchmarks.estimator.published import UNSLOTH
from pricing.calibration.learning import LOOSENESS
from pricing.calibration.width import Z_90, combine_spreads
from pricing.estimate.doubt import widen
from pricing.estimate.requested_run import Middle
from pricing.resources.fitting import Prior
from pricing.resources.memory import MemoryConstants
from pricing.resources.shipped_constants import Measured, load_device_constants, load_doubts, load_memory_constants
from pricing.resources.time import TIME_PRIORS, TimeConstants

ROWS_TO_CALIBRATE = 5
DRAWS = 5


@dataclass(frozen=True)
class Error:
    """One row, and what was estimated for it over what was published.

    `log_spread` is that between the ways in which the row may have been run; `first_ratio` is what was estimated when
    the row judged, before anybody had seen it, over what was published; `is_judge`: its first ratio tells how honest
    intervals are; `is_covered`: what was published is at or below the p90, of the first estimate where it is a judge.
    """

    row: PreparedRow
    ratio: float
    log_spread: float = 0.0
    first_ratio: float | None = None
    is_judge: bool = False
    is_covered: bool = False

    @property
    def size(self) -> float:
        return abs(self.ratio - 1)

    @property
    def belief(self) -> float:
        """How much of a row it counts as where coverage is measured, as where widths are learnt."""
        if not self.is_judge or self.first_ratio is None:
            return 1.0
        return find_belief(math.log(self.ratio), math.log(self.first_ratio))


@dataclass(frozen=True)
class HeldOut:
    """The errors of rows that the constants had not seen, and the rows that ran and are said not to fit."""

    time: list[Error]
    memory: list[Error]
    wrong: list[PreparedRow]


def list_programs(rows: Sequence[PreparedRow]) -> list[str]:
    return sorted({row.row.program for row in rows})


def hold_out_each(rows: Sequence[PreparedRow]) -> HeldOut:
    """Estimate each program's rows under constants fitted to all the others, with intervals of the others' errors."""
    near = _fit_all(_teaching(rows))
    plain = [_estimate(_of(rows, program), _without(rows, program), near) for program in list_programs(rows)]
    time = _cover([error for found in plain for error in found.time], "time")
    memory = _cover([error for found in plain for error in found.memory], "memory")
    return HeldOut(time, memory, [row for found in plain for row in found.wrong])


def hold_apart(fitted: Sequence[PreparedRow], kept: Sequence[PreparedRow]) -> HeldOut:
    """Estimate the rows that are kept apart, as an installation would that has only the shipped constants.

    Other rows of a program that is kept apart teach nothing here, neither constants nor widths.
    """
    seen = hold_out_each(fitted)
    near = _fit_all(_teaching(fitted))
    found = [_estimate(_of(kept, program), _without(fitted, program), near) for program in list_programs(kept)]
    time = _cover([error for each in found for error in each.time], "time", beside=seen.time)
    memory = _cover([error for each in found for error in each.memory], "memory", beside=seen.memory)
    return HeldOut(time, memory, [row for each in found for row in each.wrong])


def hold_against_shipped(kept: Sequence[PreparedRow]) -> HeldOut:
    """Estimate rows of programs that taught nothing by the constants and the widths that ship."""
    found = _compare_all(kept, load_device_constants().steps, load_memory_constants("published"))
    of_time, of_memory = load_doubts("time"), load_doubts("memory")
    return HeldOut(
        [_judge(error, "time", of_time) for error in found.time],
        [_judge(error, "memory", of_memory) for error in found.memory],
        found.wrong,
    )


def _fit_all(seen: Sequence[PreparedRow]) -> tuple[TimeConstants, MemoryConstants]:
    return fit_time(seen), fit_memory(seen)


def _estimate(
    rows: Sequence[PreparedRow], seen: Sequence[PreparedRow], near: tuple[TimeConstants, MemoryConstants]
) -> HeldOut:
    return _compare_all(rows, fit_time(seen, near=near[0]), fit_memory(seen, near=near[1]))


def _compare_all(rows: Sequence[PreparedRow], time: TimeConstants, memory: MemoryConstants) -> HeldOut:
    with_peaks = [row for row in rows if row.row.memory_gib is not None]
    return HeldOut(
        time=[
            _compare(row, row.estimate_seconds(time), row.seconds, row.row.judged_seconds)
            for row in rows
            if row.row.seconds is not None
        ],
        memory=[
            _compare(row, row.estimate_memory_gib(memory), row.memory_gib, row.row.judged_gib) for row in with_peaks
        ],
        wrong=[row for row in with_peaks if row.is_said_not_to_fit(memory)],
    )


def _compare(row: PreparedRow, estimated: Middle, published: float, judged: float | None = None) -> Error:
    first = None if judged is None else judged / published
    return Error(row, estimated.value / published, estimated.log_spread, first)


def _cover(errors: Sequence[Error], measured: Measured, *, beside: Sequence[Error] = ()) -> list[Error]:
    """Judge each program's rows by intervals as wide as the errors of other programs ask for: those beside, if any."""
    strangers = find_strangers(list_doubtful(beside or errors, measured))
    found = []
    for program in sorted({error.row.row.program for error in errors}):
        others = [error for error in beside or errors if error.row.row.program != program]
        factors = fit_doubts(list_doubtful(others, measured), measured, strangers)
        found += [_judge(error, measured, factors, strangers) for error in errors if error.row.row.program == program]
    return found


def _judge(
    error: Error, measured: Measured, factors: Mapping[str, float], strangers: Mapping[str, int] | None = None
) -> Error:
    row = error.row.row
    own = widen(factors, row.interval_kind, error.row.list_doubts(measured))
    is_judge = error.first_ratio is not None and is_first(row.program, row.judged_set, strangers or {})
    ratio = error.first_ratio if is_judge and error.first_ratio is not None else error.ratio
    p90 = ratio * math.exp(Z_90 * combine_spreads(own, error.log_spread))
    return replace(error, is_judge=is_judge, is_covered=p90 >= 1)


def list_doubtful(errors: Iterable[Error], measured: Measured) -> list[DoubtfulError]:
    """List errors with what was doubtful of their rows."""
    return [
        DoubtfulError(
            error.row.row.program,
            error.row.row.interval_kind,
            math.log(error.ratio),
            error.row.list_doubts(measured),
            error.row.row.judged_set,
            None if error.first_ratio is None else math.log(error.first_ratio),
            log_spread=error.log_spread,
        )
        for error in errors
    ]


def measure_calibrated_errors(rows: Sequence[PreparedRow]) -> list[Error]:
    """Estimate each program of more than five rows under constants that five of them, drawn by a seed, have moved."""
    errors = []
    near = fit_time(_teaching(rows))
    for program in list_programs(rows):
        own = [row for row in _of(rows, program) if row.row.seconds is not None]
        if len(own) <= ROWS_TO_CALIBRATE:
            continue
        believed = _believe(fit_time(_without(rows, program), near=near))
        for seed in range(DRAWS):
            drawn = random.Random(seed).sample(range(len(own)), ROWS_TO_CALIBRATE)
            seen = [own[place] for place in drawn]
            constants = fit_time(seen, believed, scale=SCALE_OF_ONE_SOURCE, rows_of_a_program=INDEPENDENT_ROWS)
            errors += [
                _compare(row, row.estimate_seconds(constants), row.seconds)
                for place, row in enumerate(own)
                if place not in drawn
            ]
    return errors


def measure_peer_errors(
    rows: Sequence[PreparedRow],
    estimate: Callable[[PreparedRow], float | None],
    actual: Callable[[PreparedRow], float | None],
) -> list[Error]:
    """Compare what a peer says with what was published, of the rows that it can express."""
    both = [(row, estimate(row), actual(row)) for row in rows]
    return [Error(row, said / true) for row, said, true in both if said is not None and true is not None]


def _believe(constants: TimeConstants) -> dict[str, Prior]:
    return {
        name: Prior(getattr(constants, name), prior.spread * LOOSENESS, prior.source)
        for name, prior in TIME_PRIORS.items()
    }


def _of(rows: Sequence[PreparedRow], program: str) -> list[PreparedRow]:
    return [row for row in rows if row.row.program == program]


def _without(rows: Sequence[PreparedRow], program: str) -> list[PreparedRow]:
    return _teaching([row for row in rows if row.row.program != program])


def _teaching(rows: Sequence[PreparedRow]) -> list[PreparedRow]:
    """List what is learnt from: kernels of Unsloth's own are judged, but teach nothing of the usual ones."""
    return [row for row in rows if row.row.trainer != UNSLOTH]


def summarize(errors: Sequence[Error]) -> float:
    """Take the median absolute error, as a share."""
    return median(error.size for error in errors)


def summarize_programs(errors: Sequence[Error]) -> float:
    """Take the median of the programs' medians: a program of many rows says no more than one of a single row."""
    sizes: dict[str, list[float]] = defaultdict(list)
    for error in errors:
        sizes[error.row.row.program].append(error.size)
    return median(median(found) for found in sizes.values())
