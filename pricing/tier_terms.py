"""What a rate card says of cumulative volume tiers: steps beyond a plan's own price, at falling prices."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from pricing.exact_fields import Price
from pricing.field_problem import FieldProblem
from pricing.usage import Unit

MOST_STEPS = 20


class TierMode(StrEnum):
    """GRADUATED: each unit costs the price of the tier that it falls into. VOLUME: all of a month's units cost the
    price of the tier that the month reaches. FLAT: there is one tier, the plan's own price.
    """

    FLAT = "flat"
    GRADUATED = "graduated"
    VOLUME = "volume"


class TierStep(BaseModel):
    """A further tier: what a unit above a month's usage costs. Units: GPU-hours or tokens; the currency for one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    above: StrictInt = Field(gt=0, le=10**15)
    price: Price


class Tiers(BaseModel):
    """The tiers of a plan's meter beyond the first, which has the plan's own price."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    mode: TierMode
    steps: tuple[TierStep, ...] = Field(default=(), max_length=MOST_STEPS)


class MeterTiers(BaseModel):
    """The tiers of each meter of a plan; None: it has one price."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    gpu_hours: Tiers | None = None
    tokens: Tiers | None = None

    def of(self, meter: Unit) -> Tiers | None:
        """Pick the tiers of one meter; None: it has one price."""
        return self.gpu_hours if meter == Unit.GPU_SECONDS else self.tokens


def find_tier_problems(tiers: Tiers, base: Decimal) -> Iterator[FieldProblem]:
    """Find what is wrong with the steps of tiers under a plan's own price."""
    if tiers.mode == TierMode.FLAT and tiers.steps:
        yield FieldProblem("steps", "flat has one tier: leave them out, or choose graduated or volume")
    if tiers.mode != TierMode.FLAT and not tiers.steps:
        yield FieldProblem("steps", f"{tiers.mode.value} needs at least one step; one price alone is flat")
    above, price = 0, base
    for place, step in enumerate(tiers.steps):
        if step.above <= above:
            yield FieldProblem(f"steps.{place}.above", f"must be more than {above}, where the tier before it begins")
        if step.price >= price:
            cure = "a settlement at the month's close takes something off, and never raises what was promised"
            yield FieldProblem(
                f"steps.{place}.price", f"must be below {price}, the price of the tier before it: {cure}"
            )
        above, price = step.above, step.price
