"""Which captures give back what an event said too much of. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from pricing.usage import METERS, Unit, Usage


@dataclass(frozen=True)
class Capturable:
    """What is left of one capture, charged or borne. Units: GPU-seconds or tokens."""

    capture_id: int
    unit: Unit
    left: int


def plan_correction(captures: Sequence[Capturable], taken: Usage) -> dict[int, int]:
    """Plan what of each capture is taken back, by its id: what was captured last goes first.

    What is borne beyond a promise goes before what is charged, and overage before grants: as if a smaller event had
    been charged in the first place.
    Raises: ValueError, for more than is left.
    """
    quantities: dict[int, int] = {}
    for meter in METERS:
        missing = taken.count(meter)
        for capture in sorted((each for each in captures if each.unit == meter), key=lambda each: -each.capture_id):
            drawn = min(capture.left, missing)
            if drawn > 0:
                quantities[capture.capture_id] = drawn
                missing -= drawn
        if missing > 0:
            raise ValueError(f"{missing} {meter.value} more than are left cannot be taken back")
    return quantities
