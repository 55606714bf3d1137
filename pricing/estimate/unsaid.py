"""What a request leaves unsaid of a program: which ways it may go, and how often programs go each.

How often is counted in the public tables, each program as one, and shipped with the constants
(`benchmarks/estimator/shares.py`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.prediction_request import PredictionRequest
from pricing.resources.method import Method
from pricing.resources.shipped_constants import load_share

# The standard deviation of the lengths of rows within a micro-batch, as a share of the mean one: that of Alpaca.
SPREAD_OF_LENGTHS = 0.55
# As many rows have the longest one among them: data sets of instructions have thousands.
USUAL_ROWS = 3000
EULER_GAMMA = 0.5772

Choice = list[tuple[float, list[tuple[str, Any]]]]


@dataclass(frozen=True)
class Variant:
    """What a method may be where nothing was said, and how often (`share`) programs have it so."""

    share: float
    method: Method


def list_checkpointing(
    request: PredictionRequest, profile: BaseModelProfile, method: Method, *, fits_without: bool
) -> list[tuple[float, bool]]:
    """List whether activations are computed again: as was said, always where nothing else fits, or how often."""
    if request.gradient_checkpointing is not None:
        return [(1.0, request.gradient_checkpointing)]
    if not fits_without:
        return [(1.0, True)]
    kind = "pictures" if not profile.is_text else "text" if method.quantization == "none" else "quantized"
    share = load_share(f"checkpointing_{kind}")
    return [(share, True), (1 - share, False)]


def list_lengths(request: PredictionRequest, longest: float, mean: float) -> list[tuple[float, float]]:
    """List how long the rows of a micro-batch are: padded to its longest, or grouped so that none is padded."""
    padded = pad_to_longest(mean, longest, request.micro_batch)
    if padded == mean or request.grouped is False:
        return [(1.0, padded)]
    if request.grouped:
        return [(1.0, mean)]
    share = load_share("grouped")
    return [(1 - share, padded), (share, mean)]


def pad_to_longest(mean: float, longest: float, samples: int) -> float:
    """Find how long rows are when each is padded to the longest of its micro-batch.

    Source: the longest of n draws of an exponential distribution is 1 + 1/2 + … + 1/n times the mean in expectation;
    rows of instructions spread about half as much as that (Alpaca: 0.55 of the mean), or as little as the longest of
    all says.
    """
    spread = min(SPREAD_OF_LENGTHS * mean, (longest - mean) / (_sum_harmonic(USUAL_ROWS) - 1))
    return min(longest, mean + spread * (_sum_harmonic(samples) - 1))


def _sum_harmonic(count: int) -> float:
    return math.log(count) + EULER_GAMMA + 1 / (2 * count) if count > 1 else 1.0


def list_variants(request: PredictionRequest, profile: BaseModelProfile, method: Method) -> list[Variant]:
    """List what a method holds under each thing that was not said of its program, the likeliest first."""
    return [
        Variant(
            math.prod(share for share, _ in chosen),
            method._replace(**dict(pair for _, pairs in chosen for pair in pairs)),
        )
        for chosen in product(*_list_choices(request, profile, method))
    ]


def _list_choices(request: PredictionRequest, profile: BaseModelProfile, method: Method) -> Iterator[Choice]:
    """List what was not said, one choice for each thing; of pictures nothing shows."""
    if not profile.is_text:
        return
    if request.attention is None:
        yield _choose([("eager", [("attention", "eager")])])
    if request.optimizer_bits is None:
        yield _choose([("narrow_moments", [("has_narrow_moments", True)])])
    if request.loss is None:
        yield _choose([("half", [("loss", "half")]), ("chunked", [("loss", "chunked")])])
    is_known = method.casts_weights_alone or request.autocast or request.unpacked_bits is not None
    if method.upcasts and not is_known:
        yield _choose([("narrow", [("upcasts", False)])])
    if method.may_have_wide_weights and request.weight_bits is None:
        yield _choose([("wide", [("has_wide_weights", True)])])
    if method.checkpointing and request.retains_checkpoints is None:
        yield _choose([("retained", [("retains_checkpoints", True)])])


def _choose(others: Choice | list[tuple[str, list[tuple[str, Any]]]]) -> Choice:
    """Put the usual way first, which is what remains beside the others, each by the name of its share."""
    shares = [(load_share(str(name)), pairs) for name, pairs in others]
    return [(1 - sum(share for share, _ in shares), []), *shares]
