"""How wide an interval must be for a program that was never seen, by what is doubtful of a run: fitted to errors."""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.estimator.fit import INDEPENDENT_ROWS
from benchmarks.estimator.widths import LEVEL, widen_for_few
from pricing.calibration.width import Z_90, combine_spreads
from pricing.estimate.doubt import widen
from pricing.resources.fitting import Prior, fit_constants
from pricing.resources.shipped_constants import Kind, Measured

# The logarithm of the size of a normal error has this mean and this standard deviation. Source: Harvey 1976, section 3.
MEAN_OF_LOG_SIZE, SPREAD_OF_LOG_SIZE = -0.635, 1.11
# Figures are rounded: an error of less says no more than one of as much.
LEAST_ERROR = 0.02
# A quantile of nine tenths of fewer programs than this is that of one of them.
FEWEST_PROGRAMS = 9
# Among so many strangers one lies beyond nine tenths and another near to it.
FEWEST_STRANGERS = 12
KINDS: tuple[Kind, ...] = ("text", "pictures")

OF_KIND = "errors of the kind, where nothing is doubtful"
IN_HALF = Prior(1.15, 0.2, "half as much variance again, of what is known to differ between programs")
PRIORS: dict[Measured, dict[str, Prior]] = {
    "time": {
        "text": Prior(0.2, 0.7, OF_KIND),
        "pictures": Prior(0.35, 0.7, OF_KIND),
        "dense": Prior(1.3, 0.2, "clocks under a limit differ between makers of cards and coolings"),
        "long": Prior(1.5, 0.2, "attention, a quarter of a step at 8,192 tokens, is half of it an octave later"),
        **dict.fromkeys(("bound", "unseen", "varies", "several", "encodes"), IN_HALF),
    },
    "memory": {
        "text": Prior(0.12, 0.7, OF_KIND),
        "pictures": Prior(0.1, 0.7, OF_KIND),
        "varies": Prior(
            1.5, 0.4, "what is kept of rows of other lengths: replayed, once to three times what is in use"
        ),
        **dict.fromkeys(("long", "several", "keeps", "encodes"), IN_HALF),
    },
}


@dataclass(frozen=True)
class DoubtfulError:
    """An error of a held-out row: log(estimated / published), its program, its kind of job, and what was doubtful.

    `first_log_ratio` is the error of what was estimated when the row judged, in the set of that number: nobody had seen
    it, so that no choice of a formula had a part in that error. `belief` is how much of a row it counts as;
    `log_spread`, the standard deviation between the ways in which the row may have been run, widens it by itself.
    """

    program: str
    kind: Kind
    log_ratio: float
    doubts: Mapping[str, float]
    judged_set: int | None = None
    first_log_ratio: float | None = None
    belief: float = 1.0
    log_spread: float = 0.0

    def is_within(self, factors: Mapping[str, float], scale: float) -> bool:
        """Tell whether what was published is at or below a p90 of so many spreads of its kind and doubts."""
        own = scale * widen(factors, self.kind, self.doubts) / Z_90
        return -self.log_ratio <= Z_90 * combine_spreads(own, self.log_spread)


def fit_doubts(
    errors: Sequence[DoubtfulError], measured: Measured, strangers: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Fit the spread of each kind and the factor of each doubt; nine tenths of what judged lies within p90.

    A factor is at least one: that rows which are doubtful lay closer by chance makes no run more certain. `strangers`
    judge; without them, those that `find_strangers` finds among the errors.
    Raises: ValueError without errors.
    """
    if not errors:
        raise ValueError("without errors there is no width")
    fitted = _fit_factors(errors, PRIORS[measured])
    factors = {name: value if name in KINDS else max(1.0, value) for name, value in fitted.items()}
    seen = find_strangers(errors) if strangers is None else strangers
    if judges := _list_judges(errors, seen):
        scales = {kind: find_scale(judges, factors, kind) for kind in KINDS}
    else:
        programs = {kind: len({error.program for error in errors if error.kind == kind}) for kind in KINDS}
        scales = {
            kind: _find_quantile(_of_kind(errors, kind), factors, LEVEL) * widen_for_few(max(1, programs[kind]))
            for kind in KINDS
        }
    return factors | {kind: factors[kind] * scales[kind] / Z_90 for kind in KINDS}


def find_strangers(errors: Sequence[DoubtfulError]) -> dict[str, int]:
    """Find the programs that were strangers when they judged, each with its set; none, where too few were.

    A program is one where nothing of it had taught before.
    """
    first: dict[str, int] = {}
    for error in errors:
        first[error.program] = min(error.judged_set or 0, first.get(error.program, sys.maxsize))
    found = {program: number for program, number in first.items() if number}
    return found if len(found) >= FEWEST_STRANGERS else {}


def is_first(program: str, judged_set: int | None, strangers: Mapping[str, int]) -> bool:
    """Tell whether a row judged when its program was a stranger."""
    return judged_set is not None and strangers.get(program) == judged_set


def _list_judges(errors: Sequence[DoubtfulError], strangers: Mapping[str, int]) -> Sequence[DoubtfulError]:
    """List the errors that say how far off a stranger is: the first ones of strangers.

    Formulas were chosen while the others' errors were looked at, so that those are smaller than a stranger's. The more
    an estimate has changed since it judged, the less its first error tells of today's formulas: where it has doubled
    or halved it counts half.
    """
    return [
        replace(
            error,
            log_ratio=error.first_log_ratio,
            belief=find_belief(error.log_ratio, error.first_log_ratio),
        )
        for error in errors
        if error.first_log_ratio is not None and is_first(error.program, error.judged_set, strangers)
    ]


def find_belief(log_ratio: float, first_log_ratio: float) -> float:
    """Find how much of a row a first error counts as, of which another estimate is made today."""
    return math.exp(-abs(log_ratio - first_log_ratio))


def find_scale(judges: Sequence[DoubtfulError], factors: Mapping[str, float], kind: Kind) -> float:
    """Find how many spreads cover nine tenths of the next program of a kind; of all, where few have judged that.

    Source: Lei et al. 2018, section 2.2: of n that have judged, nine tenths and a share of 1/n more.
    """
    own = _of_kind(judges, kind)
    return _find_quantile(own, factors, min(1.0, LEVEL * (1 + 1 / len({error.program for error in own}))))


def _of_kind(errors: Sequence[DoubtfulError], kind: Kind) -> Sequence[DoubtfulError]:
    own = [error for error in errors if error.kind == kind]
    return own if len({error.program for error in own}) >= FEWEST_PROGRAMS else errors


def cover_later_sets(
    errors: Sequence[DoubtfulError], factors: Mapping[str, float]
) -> list[tuple[int, int, int, float]]:
    """Cover each set that has judged by widths of the first errors of the sets before it, as they were then.

    Lists the set, how many programs made the widths, how many the set has, and what share of it lay within p90, a
    program counting as its rows, four at most. Nothing counts less for what has been mended since.
    """
    strangers = find_strangers(errors)
    judges = [replace(error, belief=1.0) for error in _list_judges(errors, strangers)]
    found = []
    for number in sorted(set(strangers.values())):
        before = [error for error in judges if strangers[error.program] < number]
        own = [error for error in judges if strangers[error.program] == number]
        if (known := len({error.program for error in before})) < FEWEST_PROGRAMS or not own:
            continue
        scales = {kind: find_scale(before, factors, kind) for kind in KINDS}
        weights = _weigh_programs(own)
        within = sum(weights[error.program] for error in own if error.is_within(factors, scales[error.kind]))
        total = sum(weights[error.program] for error in own)
        found.append((number, known, len({error.program for error in own}), within / total))
    return found


def _weigh_programs(errors: Sequence[DoubtfulError]) -> dict[str, float]:
    counts = Counter(error.program for error in errors)
    return {program: min(1.0, INDEPENDENT_ROWS / count) for program, count in counts.items()}


def _fit_factors(errors: Sequence[DoubtfulError], priors: Mapping[str, Prior]) -> dict[str, float]:
    """Fit spreads to the sizes of errors. Source: Harvey 1976, a regression of the logarithms of their squares."""
    counts = Counter(error.program for error in errors)
    beliefs = [min(1.0, math.sqrt(INDEPENDENT_ROWS / counts[error.program])) for error in errors]
    sizes = [math.log(max(abs(error.log_ratio), LEAST_ERROR)) - MEAN_OF_LOG_SIZE for error in errors]

    def residuals(values: Mapping[str, float]) -> list[float]:
        return [
            belief * (size - math.log(combine_spreads(widen(values, error.kind, error.doubts), error.log_spread)))
            for belief, size, error in zip(beliefs, sizes, errors, strict=True)
        ]

    return fit_constants(priors, residuals, scale=SPREAD_OF_LOG_SIZE)


def _find_quantile(errors: Sequence[DoubtfulError], factors: Mapping[str, float], level: float) -> float:
    """Find how many spreads cover that share of the rows; a program counts as its rows, four at most.

    An error to one side tells of the other as much: what was estimated too high in one set, and is mended since, makes
    no later stranger surer. What the ways that were not said lie apart is taken off an error, as it widens by itself.
    Source: conformal prediction over groups with scores that are normalised by their difficulty (Dunn, Wasserman,
    Ramdas 2022, "Distribution-Free Prediction Sets for Two-Layer Hierarchical Models"; Lei et al. 2018,
    "Distribution-Free Predictive Inference for Regression", section 5.2).
    """
    weights = _weigh_programs(errors)
    scores = [
        (
            _take_off(side * error.log_ratio, Z_90 * error.log_spread) / widen(factors, error.kind, error.doubts),
            weights[error.program] * error.belief,
        )
        for error in errors
        for side in (-1, 1)
    ]
    return _take_quantile(scores, level)


def _take_off(error: float, spread: float) -> float:
    """Take off an error what another spread covers of it: with what is left, that spread makes an interval as long."""
    return math.sqrt(max(0.0, error**2 - spread**2)) if error > 0 else error


def _take_quantile(scores: Sequence[tuple[float, float]], level: float) -> float:
    """Take the least score that so much of the weight lies at or below."""
    wanted, covered = level * sum(weight for _, weight in scores), 0.0
    for score, weight in sorted(scores):
        covered += weight
        if covered >= wanted - 1e-9:
            return score
    return math.inf
