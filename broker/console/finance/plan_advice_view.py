"""What the page of plan advice shows: saving and worst case first, then cost against commitment as a chart. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

from broker.console.frame.charts import round_up
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.reports.plan_advice import CustomerAdvice
from pricing.money import MICROS_PER_UNIT, Money
from pricing.plan_advice.advice import JudgedOption, PlanAdvice, Scenario
from pricing.plan_advice.costs import PlanOption

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 640, 220, 64, 10, 22, 16
OPTION_COLUMNS = (
    Column(N_("Plan")),
    Column(N_("Commits to, h a year"), is_number=True),
    Column(N_("Saves"), is_number=True),
    Column(N_("Worst case"), is_number=True),
    Column(N_("Cost"), is_number=True),
    Column(N_("If the quietest month"), is_number=True),
    Column(N_("If the busiest month"), is_number=True),
    Column(N_("Regret"), is_number=True),
    Column(N_("Break-even, h a year"), is_number=True),
)


@dataclass(frozen=True)
class OptionLine:
    """An option with what it is: advised, or like a contract in force."""

    judged: JudgedOption
    break_even: Fraction | None
    is_advised: bool
    is_present: bool

    @property
    def if_quietest(self) -> Money:
        return self.judged.costs[Scenario.QUIETEST].total

    @property
    def if_busiest(self) -> Money:
        return self.judged.costs[Scenario.BUSIEST].total


@dataclass(frozen=True)
class Dot:
    """A point of the chart: an option by what it commits to and what it costs."""

    x: float
    y: float
    line: OptionLine
    low_y: float
    high_y: float


@dataclass(frozen=True)
class CostTick:
    """A gridline at a height, with the cost that it stands for."""

    y: float
    cost: Money


@dataclass(frozen=True)
class AdviceChart:
    """Cost against commitment: dots with the range from the quietest to the busiest month, and ticks at the axes."""

    dots: Sequence[Dot]
    costs: Sequence[CostTick]
    hours: Sequence[tuple[float, Fraction]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT


@dataclass(frozen=True)
class AdviceView:
    """The advice for a customer; without a whole month there is none yet."""

    found: CustomerAdvice
    lines: Sequence[OptionLine]
    chart: AdviceChart | None
    used_hours: Fraction

    @property
    def advised(self) -> OptionLine | None:
        return next((line for line in self.lines if line.is_advised), None)

    @property
    def present(self) -> OptionLine | None:
        return next((line for line in self.lines if line.is_present), None)

    @property
    def coverage(self) -> Fraction | None:
        """Tell what share of the hours used in a year such as this the advised commitment covers."""
        advised = self.advised
        if advised is None or not self.used_hours:
            return None
        return min(Fraction(1), advised.judged.option.committed_gpu_hours / self.used_hours)

    @property
    def use(self) -> Fraction | None:
        """Tell what share of the advised commitment would be used."""
        advised = self.advised
        if advised is None or not advised.judged.option.committed_gpu_hours:
            return None
        return min(Fraction(1), self.used_hours / advised.judged.option.committed_gpu_hours)


def show_advice(found: CustomerAdvice) -> AdviceView:
    """Lay out the advice for a customer."""
    seconds = sum(each.all_gpu_seconds for each in found.usage)
    used = Fraction(seconds * 12, 3600 * len(found.usage)) if found.usage else Fraction(0)
    if found.advice is None:
        return AdviceView(found, (), None, used)
    lines = list_lines(found.advice, found.present)
    return AdviceView(found, lines, place_options(lines), used)


def list_lines(advice: PlanAdvice, present: Collection[PlanOption]) -> list[OptionLine]:
    """List the options by regret, the advised one first."""
    return [
        OptionLine(judged, advice.break_even.get(judged.option), judged is advice.advised, judged.option in present)
        for judged in advice.options
    ]


def place_options(lines: Sequence[OptionLine]) -> AdviceChart:
    """Place options by what they commit to (across) and what they cost (up)."""
    top_hours = round_up(max(line.judged.option.committed_gpu_hours for line in lines) or 1)
    top_cost = round_up(
        max(Fraction(max(line.judged.cost.total, line.if_busiest).micros, MICROS_PER_UNIT) for line in lines) or 1
    )

    def x_of(hours: Fraction | int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * float(Fraction(hours) / top_hours), 2)

    def y_of(amount: Money) -> float:
        share = Fraction(max(0, amount.micros), MICROS_PER_UNIT) / top_cost
        return round(TOP + (HEIGHT - TOP - BOTTOM) * float(1 - share), 2)

    dots = [
        Dot(
            x_of(line.judged.option.committed_gpu_hours),
            y_of(line.judged.cost.total),
            line,
            y_of(line.if_quietest),
            y_of(line.if_busiest),
        )
        for line in lines
    ]
    parts = [Fraction(part, 4) for part in range(5)]
    costs = [Money(int(top_cost * part * MICROS_PER_UNIT)) for part in parts]
    return AdviceChart(
        dots,
        [CostTick(y_of(cost), cost) for cost in costs],
        [(x_of(top_hours * part), top_hours * part) for part in parts],
    )
