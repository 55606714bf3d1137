"""How far a run lies from what was measured, and how wide that makes its interval where no run of its kind was seen.

A doubt is a number of what is known of a run; each has a factor by which a unit of it widens. The factors are fitted to
the errors of held-out programs and shipped (`benchmarks/estimator/doubts.py`).
"""

import math
from collections.abc import Mapping

from pricing.estimate.requested_run import RequestedRun
from pricing.resources.shipped_constants import (
    Kind,
    Measured,
    find_kind,
    load_device_constants,
    load_doubts,
)
from pricing.resources.time import weigh_step

# Rows of more tokens are of two or three programs: an estimate of one is less sure.
LONGEST_USUAL = 8192


def list_time_doubts(run: RequestedRun) -> dict[str, float]:
    """List what makes its time uncertain.

    Units: octaves beyond the longest usual row (`long`), the share of a step that waits for launches (`bound`: it
    depends on the host), octaves by which rows are padded (`varies`: what the longest of a micro-batch has, nobody
    states); the others are 1 or left out: a card whose power limit decides, a card or products of 8-bit floats that no
    figure is of, several devices, pictures that are encoded in every step.
    """
    step = weigh_step(run.likeliest.work, load_device_constants().steps)
    seconds = step.compute_seconds(run.gpu, run.likeliest.method.precision)
    return _drop_none(
        dense=run.gpu.power_class != "full",
        long=_count_octaves(run, run.mean_length),
        bound=step.compute_launching(run.gpu) / seconds,
        unseen=run.gpu.estimate_only or run.likeliest.method.multiplies_in_fp8,
        varies=_count_padding(run),
        several=run.request.gpus > 1,
        encodes=run.batch.encodes,
    )


def list_memory_doubts(run: RequestedRun) -> dict[str, float]:
    """List what makes its peak uncertain; `keeps`: activations are not said to be computed again."""
    return _drop_none(
        long=_count_octaves(run, run.batch.positions),
        varies=run.batch.varies,
        several=run.request.gpus > 1,
        keeps=run.request.gradient_checkpointing is not True,
        encodes=run.batch.encodes,
    )


def find_spread(measured: Measured, run: RequestedRun) -> float:
    """Find the standard deviation of log(actual / estimated) for a program of which no run was seen."""
    doubts = list_time_doubts(run) if measured == "time" else list_memory_doubts(run)
    return widen(load_doubts(measured), find_kind(run.profile.family), doubts)


def widen(factors: Mapping[str, float], kind: Kind, doubts: Mapping[str, float]) -> float:
    """Widen the spread of a kind of job by each doubt, as often as it counts.

    Source: Harvey 1976, "Estimating Regression Models with Multiplicative Heteroscedasticity".
    """
    return factors[kind] * math.exp(sum(count * math.log(factors[name]) for name, count in doubts.items()))


def _count_octaves(run: RequestedRun, positions: float) -> float:
    return math.log2(positions / LONGEST_USUAL) if run.profile.is_text and positions > LONGEST_USUAL else 0.0


def _count_padding(run: RequestedRun) -> float:
    if not (run.profile.is_text and run.batch.varies):
        return 0.0
    return math.log2(run.likeliest.work.product_rows / (run.batch.samples * run.mean_length))


def _drop_none(**doubts: float) -> dict[str, float]:
    return {name: float(count) for name, count in doubts.items() if count}
