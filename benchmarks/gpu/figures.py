"""What a row says: figures with their bar, and whole runs for the estimator, as plain JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


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


def compare(name: str, ours: float, peer: float, unit: str, peer_name: str, bar: float | None = None) -> Figure:
    """Make the figure of ours over the peer's, where more is better."""
    return Figure(name, ours / peer, "times", f"{ours:.4g} against {peer:.4g} {unit} of {peer_name}", bar, "higher")
