"""Calibration: how far estimates were off, learnt from runs that finished, and how wide an interval must be. Pure.

Three layers, each on what the one before leaves over: the constants of a GPU type, fitted to the installation's runs on
it; the mean ratio of runs of one kind, shrunk to that of wider kinds; and conformal quantiles of what is left, at a
level that follows how many runs kept theirs.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, NamedTuple

from pricing.calibration.change import Change
from pricing.calibration.coverage_level import WANTED
from pricing.calibration.support import choose_width
from pricing.calibration.width import Z_90
from pricing.catalog.gpu import GpuProfile
from pricing.plain_tuples import make
from pricing.resources.run_work import DeviceConstants, RunWork, compute_run_seconds
from pricing.resources.shipped_constants import load_device_constants, load_log_spread
from pricing.resources.time import compute_micro_batch_seconds

# With fewer runs there is no ninth tenth: the (n + 1)·0.9-th smallest of n residuals exists from nine on.
FEWEST_RESIDUALS = 9

Key = tuple[str, ...]
# Families of work other than training: what it takes says nothing of trainings, nor they of it.
LABELLING, CHECKING = "captioner", "check"
APART = frozenset({LABELLING, CHECKING})


class RunKind(NamedTuple):
    """What runs that err alike have in common."""

    sku: str
    family: str
    precision: str
    checkpointing: bool
    trainer_version: str

    @property
    def is_apart(self) -> bool:
        """Tell whether it is no training."""
        return self.family in APART

    def list_keys(self) -> list[Key]:
        """List the keys that runs of this kind are counted under, the widest first; apart, none that trainings have."""
        narrow = (self.sku, self.family, self.precision, f"checkpointing={self.checkpointing}", self.trainer_version)
        return [narrow[:length] for length in range(2 if self.is_apart else 0, len(narrow) + 1)]


class Interval(NamedTuple):
    """Seconds of a run. `runs` is how many finished runs the width was learnt from; 0: from published figures only."""

    p50: float
    p90: float
    runs: int

    @property
    def has_learnt_width(self) -> bool:
        return has_learnt_width(self.runs)


def has_learnt_width(runs: int) -> bool:
    """Tell whether so many finished runs gave an interval its width; with fewer it has that of published figures."""
    return runs >= FEWEST_RESIDUALS


@cache
def get_published_width(family: str) -> float:
    """Get log(p90 / p50) of published figures of a family, whose programs no run of was seen."""
    return Z_90 * load_log_spread(family)


@cache
def _get_published_factor(family: str) -> float:
    return math.exp(get_published_width(family))


@dataclass(frozen=True)
class Ratio:
    """The mean log(actual / computed) of runs of one key, shrunk to that of the next wider one."""

    log: float
    runs: int


NO_RATIO = Ratio(0.0, 0)


@dataclass(frozen=True)
class Calibration:
    """What has been learnt so far. `version` names it; a quote keeps the name of the one it was made with."""

    version: str = "published"
    runs: int = 0
    constants: Mapping[str, DeviceConstants] = field(default_factory=dict)
    ratios: Mapping[Key, Ratio] = field(default_factory=dict)
    residuals: Mapping[Key, tuple[float, ...]] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[str, Change] = field(default_factory=dict)

    def estimate(self, kind: RunKind, work: RunWork, gpu: GpuProfile) -> Interval:
        """Estimate p50 and p90 of the seconds of a run."""
        return self.widen(kind, compute_run_seconds(work, gpu, self.get_constants(kind.sku)))

    def estimate_micro_batch(self, kind: RunKind, work: RunWork, gpu: GpuProfile) -> Interval:
        """Estimate p50 and p90 of the seconds of one micro-batch of a run."""
        steps = self.get_constants(kind.sku).steps
        return self.widen(kind, compute_micro_batch_seconds(work.micro_batch, gpu, work.precision, steps))

    def get_constants(self, sku: str) -> DeviceConstants:
        return self.constants.get(sku) or load_device_constants()

    def widen(self, kind: RunKind, computed: float) -> Interval:
        """Correct the computed seconds of a run by what runs of its kind taught, and make them an interval."""
        expected = computed * math.exp(self.get_ratio(kind).log) if self.ratios else computed
        if not self.residuals:
            return make(Interval, (expected, expected * _get_published_factor(kind.family), 0))
        residuals = self._get_residuals(kind)
        width = get_published_width(kind.family)
        if residuals and has_learnt_width(len(residuals)):
            level = WANTED if kind.is_apart else self.levels.get(kind.sku, WANTED)
            place = (len(residuals) + 1) * level
            width = choose_width(residuals, place, width)
        return make(Interval, (expected, expected * math.exp(width), len(residuals)))

    def get_ratio(self, kind: RunKind) -> Ratio:
        for key in reversed(kind.list_keys()):
            if key in self.ratios:
                return self.ratios[key]
        return NO_RATIO

    def _get_residuals(self, kind: RunKind) -> tuple[float, ...]:
        """Get the residuals of the narrowest key that has enough of them; those of the GPU type, where none has."""
        keys = [key for key in kind.list_keys() if key]
        for key in reversed(keys):
            found = self.residuals.get(key, ())
            if len(found) >= FEWEST_RESIDUALS:
                return found
        return self.residuals.get(keys[0], ())

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "runs": self.runs,
            "constants": {sku: asdict(found) for sku, found in self.constants.items()},
            "ratios": [[list(key), ratio.log, ratio.runs] for key, ratio in self.ratios.items()],
            "residuals": [[list(key), list(found)] for key, found in self.residuals.items()],
            "levels": dict(self.levels),
            "changes": {sku: asdict(found) for sku, found in self.changes.items()},
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Calibration":
        return cls(
            version=written["version"],
            runs=written["runs"],
            constants={
                sku: DeviceConstants.of(_list_shipped() | found["steps"] | found["run"])
                for sku, found in written["constants"].items()
            },
            ratios={tuple(key): Ratio(log, runs) for key, log, runs in written["ratios"]},
            residuals={tuple(key): tuple(found) for key, found in written["residuals"]},
            levels=written.get("levels", {}),  # versions of before have none
            changes={sku: Change(**found) for sku, found in written.get("changes", {}).items()},
        )


def _list_shipped() -> dict[str, float]:
    """List the shipped constants by name: those that a calibration of before had no word for."""
    shipped = load_device_constants()
    return asdict(shipped.steps) | asdict(shipped.run)
