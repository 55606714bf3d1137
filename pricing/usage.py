"""What is counted: the units of the ledger, two of which a run's meters count, and what a run used."""

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """The two meters (seconds that a run holds its devices, times the devices; non-padding tokens), and money."""

    GPU_SECONDS = "gpu_seconds"
    TOKENS = "tokens"
    MICRO_YUAN = "micro_yuan"


METERS = (Unit.GPU_SECONDS, Unit.TOKENS)


class UnknownMeter(LookupError):
    """There is no price for this meter."""

    def __init__(self, meter: str) -> None:
        self.meter = meter
        super().__init__(f"unknown meter {meter!r}; known meters: {', '.join(METERS)}")


@dataclass(frozen=True, init=False)
class Usage:
    """What a run used: one value from the heartbeat to the invoice. Units: whole GPU-seconds and tokens."""

    gpu_seconds: int
    tokens: int

    def __init__(self, gpu_seconds: int = 0, tokens: int = 0) -> None:
        """Make a value. Written out, as for `Money`: what a frozen dataclass has for it takes twice as long."""
        fields = self.__dict__
        fields["gpu_seconds"], fields["tokens"] = gpu_seconds, tokens

    def count(self, meter: Unit) -> int:
        """Count what one meter counted. Units: GPU-seconds or tokens."""
        assert meter in METERS, f"no meter counts {meter}"
        return self.gpu_seconds if meter == Unit.GPU_SECONDS else self.tokens

    @property
    def by_meter(self) -> dict[Unit, int]:
        """What each meter counted. Units: GPU-seconds or tokens."""
        return {Unit.GPU_SECONDS: self.gpu_seconds, Unit.TOKENS: self.tokens}

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.gpu_seconds + other.gpu_seconds, self.tokens + other.tokens)

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.gpu_seconds - other.gpu_seconds, self.tokens - other.tokens)
