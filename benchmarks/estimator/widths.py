"""How wide an interval must be for a program that was never seen: by the errors of other programs, by kind of job."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pricing.calibration.width import Z_90

LEVEL = 0.9
# A kind of which fewer programs were seen takes the errors of all.
FEWEST_PROGRAMS = 2
PROGRAMS_OF_BELIEF = 4


@dataclass(frozen=True)
class Widths:
    """What p50 is multiplied by for p90, by kind of job; `of_all` serves a kind that too few programs speak for."""

    by_kind: Mapping[str, float]
    of_all: float

    def factor_of(self, kind: str) -> float:
        return self.by_kind.get(kind, self.of_all)

    def get_log_spread(self, kind: str) -> float:
        """Get the standard deviation of the normal distribution that has the factor's logarithm as its p90."""
        return math.log(self.factor_of(kind)) / Z_90


def measure_widths(errors: Sequence[tuple[str, str, float]]) -> Widths:
    """Measure the widths from errors of held-out rows: kind of job, program, estimated over published.

    Each program counts as one, whatever its rows. Raises: ValueError without errors.
    Source: conformal prediction over groups (Dunn, Wasserman, Ramdas 2022, "Distribution-Free Prediction Sets for
    Two-Layer Hierarchical Models", pooling of CDFs): a new program is to the known ones as these are to each other.
    """
    by_kind: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for kind, program, ratio in errors:
        by_kind[kind].append((program, ratio))
    everything = [(program, ratio) for _, program, ratio in errors]
    return Widths(
        {
            kind: _find_factor(found)
            for kind, found in by_kind.items()
            if len({program for program, _ in found}) >= FEWEST_PROGRAMS
        },
        _find_factor(everything),
    )


def _find_factor(errors: Sequence[tuple[str, float]]) -> float:
    """Find the least factor that covers nine tenths of the rows, each program's rows weighing as one together."""
    if not errors:
        raise ValueError("without errors there is no width")
    counts = Counter(program for program, _ in errors)
    wanted, covered = LEVEL * len(counts), 0.0
    for program, ratio in sorted(errors, key=lambda error: error[1], reverse=True):
        covered += 1 / counts[program]
        if covered >= wanted - 1e-9:
            return max(1.0, 1 / ratio) ** widen_for_few(len(counts))
    return math.inf


def widen_for_few(programs: int) -> float:
    """Find what the logarithm of a width is multiplied by, as the quantile of few programs is itself uncertain.

    Source: the prediction interval of a normal distribution of unknown spread, √(1 + 1/n) · t / z, where what is known
    beforehand of such spreads counts as four programs; t at nine tenths is z · (1 + (z² + 1) / (4 · freedom)), nearly.
    """
    freedom = programs - 1 + PROGRAMS_OF_BELIEF
    return math.sqrt(1 + 1 / programs) * (1 + (Z_90**2 + 1) / (4 * freedom))
