"""What a row says: figures with their bar, and whole runs for the estimator, as plain JSON."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch


@dataclass(frozen=True)
class Figure:
    """One figure in `unit`, with what stands beside it.

    `better`: a figure of `lower` must not be above `bar`, one of `higher` not below it; without a bar it only informs.
    """

    name: str
    value: float
    unit: str
    beside: str = ""
    bar: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def holds(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar


@dataclass(frozen=True)
class RowResult:
    """What a row measured. `runs` have the keys of `benchmarks.estimator.public_runs.PublicRun`."""

    row: str
    figures: list[Figure] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        described = asdict(self)
        for figure, record in zip(self.figures, described["figures"], strict=True):
            record["holds"] = figure.holds
        return described


@dataclass(frozen=True)
class Side:
    """What one side of a comparison took: seconds of a step, and the peak of the bytes in use, 0 on a CPU."""

    seconds: float
    gib: float


def try_peer(measure: Callable[[], Side]) -> Side | None:
    """Measure the peer; None where this machine has too little memory for it: ours is told all the same."""
    try:
        return measure()
    except torch.OutOfMemoryError:
        return None


def compare(name: str, ours: float, peer: float, unit: str, peer_name: str, bar: float | None = None) -> Figure:
    """Make the figure of ours over the peer's, where more is better."""
    return Figure(name, ours / peer, "times", f"{ours:.4g} against {peer:.4g} {unit} of {peer_name}", bar, "higher")


def describe_sides(
    name: str, unit: str, done: float, ours: Side, peer: Side | None, peer_name: str, bar: float | None
) -> list[Figure]:
    """Make the figures of speed, in `unit` of which a step does `done`, and of memory; ours alone where no peer ran."""
    if peer is None:
        said = f"{peer_name} ran out of memory; ours took {ours.gib:.1f} GiB"
        return [Figure(f"{name}: speed", done / ours.seconds, unit, said)]
    figures = [compare(f"{name}: speed", done / ours.seconds, done / peer.seconds, unit, peer_name, bar)]
    if peer.gib:
        beside = f"{ours.gib:.1f} against {peer.gib:.1f} GiB"
        figures.append(Figure(f"{name}: peak memory", ours.gib / peer.gib, "times", beside, 1.0))
    return figures
