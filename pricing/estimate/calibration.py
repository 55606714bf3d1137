"""Calibration: how far the estimates of a model and GPU type were off, learnt from runs that finished."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

PRIOR_SPREAD = 0.5
PRIOR_WEIGHT = 5


@dataclass(frozen=True)
class Calibration:
    """The correction of an estimate: actual is about ratio × predicted, log-normally spread.

    `spread` is the standard deviation of log(actual / predicted); `observations` is how many runs it was learnt from.
    """

    ratio: float = 1.0
    spread: float = PRIOR_SPREAD
    observations: int = 0


@dataclass(frozen=True)
class Observation:
    """One finished run. Units: GPU-seconds; the prediction is the p50 made without calibration (ratio 1)."""

    predicted_seconds: float
    actual_seconds: float


def fit_calibration(observations: Sequence[Observation]) -> Calibration:
    """Learn a calibration, shrunk to the prior: the prior counts as 5 runs with ratio 1 and spread 0.5.

    The centre is the median log ratio, which one odd run cannot move far; the spread is taken around the shrunk centre,
    so that few or scattered runs keep p90 wide.
    Raises: ValueError for seconds that are not positive.
    Source: shrinkage with a pseudo-count, and the pooled variance of a scaled inverse-chi-squared prior (Gelman et al.,
    "Bayesian Data Analysis", 3rd ed., section 2.6). The weight 5 and the spread 0.5 are our choice, not measured.
    """
    if not observations:
        return Calibration()
    log_ratios = [_compute_log_ratio(observation) for observation in observations]
    count = len(log_ratios)
    centre = median(log_ratios) * count / (count + PRIOR_WEIGHT)
    deviations = sum((log_ratio - centre) ** 2 for log_ratio in log_ratios)
    variance = (PRIOR_WEIGHT * PRIOR_SPREAD**2 + deviations) / (PRIOR_WEIGHT + count)
    return Calibration(ratio=math.exp(centre), spread=math.sqrt(variance), observations=count)


def _compute_log_ratio(observation: Observation) -> float:
    if observation.predicted_seconds <= 0 or observation.actual_seconds <= 0:
        raise ValueError(f"an observation has positive seconds, got {observation}")
    return math.log(observation.actual_seconds / observation.predicted_seconds)
