"""Which plan to sign next: plans and commitments compared over months as they were, and as they could become."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from pricing.money import Money
from pricing.plan_advice.costs import TERM_MONTHS, MonthUsage, PlanCost, PlanOption, compute_cost
from pricing.plans import PlanName
from pricing.rate_card import RateCard

SECONDS_PER_HOUR = 3600


class Scenario(StrEnum):
    """What the months are taken to be: as they were, all as the one with fewest GPU-hours, or as the one with most."""

    AS_IT_WAS = "as_it_was"
    QUIETEST = "quietest"
    BUSIEST = "busiest"


@dataclass(frozen=True)
class JudgedOption:
    """An option with what it costs in each scenario.

    `saving` is what it costs less than on demand, for the months as they were; `worst_case` the least of that in any
    scenario: below zero is a loss. `regret` is the most that it costs above the cheapest option of a scenario.
    """

    option: PlanOption
    costs: Mapping[Scenario, PlanCost]
    saving: Money
    worst_case: Money
    regret: Money

    @property
    def cost(self) -> PlanCost:
        """Tell what the months as they were cost."""
        return self.costs[Scenario.AS_IT_WAS]


@dataclass(frozen=True)
class PlanAdvice:
    """Options in the order of regret, the advised one first. `break_even` is by option: see `compute_break_even`.

    An option that commits to nothing has none; nor has any where hours on demand cost nothing.
    """

    options: Sequence[JudgedOption]
    break_even: Mapping[PlanOption, Fraction]

    @property
    def advised(self) -> JudgedOption:
        return self.options[0]


def advise_plan(card: RateCard, months: Sequence[MonthUsage], present: Sequence[PlanOption] = ()) -> PlanAdvice:
    """Compare every plan by a customer's months, the oldest first, at the prices of a card.

    A plan is tried with its least commitment and with what each scenario uses in a year; `present` are the options that
    the customer has signed, which are judged as they are. Advised is what costs least above the cheapest in its worst
    scenario; of equals what costs least, then what commits to least.
    Raises: ValueError, without a month.
    """
    if not months:
        raise ValueError("advice needs at least one month of usage")
    scenarios = _make_scenarios(months)
    options = list(dict.fromkeys([*_list_options(card, scenarios), *present]))
    costs = {
        option: {scenario: compute_cost(card, option, usage) for scenario, usage in scenarios.items()}
        for option in options
    }
    judged = [_judge(option, costs) for option in options]
    judged.sort(key=lambda each: (each.regret, each.cost.total, each.option.committed_gpu_hours, each.option.plan))
    is_priced = card.terms(PlanName.ON_DEMAND).per_gpu_hour > 0
    committing = [option for option in options if option.committed_gpu_hours and is_priced]
    break_even = {option: compute_break_even(card, option) for option in committing}
    return PlanAdvice(judged, break_even)


def compute_break_even(card: RateCard, option: PlanOption) -> Fraction:
    """Compute how many GPU-hours of a year's commitment have to be used for it to cost no more than on demand.

    Tokens, which only make it fewer, are left out. Units: GPU-hours. Source: hours used times the on-demand price equal
    the hours committed to times the plan's.
    """
    ratio = Fraction(card.terms(option.plan).per_gpu_hour) / Fraction(card.terms(PlanName.ON_DEMAND).per_gpu_hour)
    return option.committed_gpu_hours * ratio


def _make_scenarios(months: Sequence[MonthUsage]) -> dict[Scenario, Sequence[MonthUsage]]:
    by_hours = sorted(months, key=lambda month: (month.all_gpu_seconds, month.tokens))
    return {
        Scenario.AS_IT_WAS: months,
        Scenario.QUIETEST: [by_hours[0]] * len(months),
        Scenario.BUSIEST: [by_hours[-1]] * len(months),
    }


def _list_options(card: RateCard, scenarios: Mapping[Scenario, Sequence[MonthUsage]]) -> Iterator[PlanOption]:
    """List what to try: on demand, and of each plan that commits its least commitment, and what is used in a year."""
    for plan in PlanName:
        least = card.terms(plan).minimum_commit_gpu_hours
        yield PlanOption(plan, least)
        if least:
            for months in scenarios.values():
                yield PlanOption(plan, max(least, _count_hours_of_a_year(card, plan, months)))


def _count_hours_of_a_year(card: RateCard, plan: PlanName, months: Sequence[MonthUsage]) -> int:
    """Count the whole GPU-hours that months like these use in a year, of those that count for the commitment."""
    ahead = card.terms(plan).advance
    seconds = sum(
        count
        for month in months
        for gpu_type, count in month.gpu_seconds.items()
        if not ahead or card.get_multiplier(gpu_type) == 1
    )
    return seconds * TERM_MONTHS // (len(months) * SECONDS_PER_HOUR)


def _judge(option: PlanOption, costs: Mapping[PlanOption, Mapping[Scenario, PlanCost]]) -> JudgedOption:
    own = costs[option]
    on_demand = costs[PlanOption(PlanName.ON_DEMAND, 0)]
    savings = {scenario: on_demand[scenario].total - own[scenario].total for scenario in Scenario}
    regrets = (own[scenario].total - min(each[scenario].total for each in costs.values()) for scenario in Scenario)
    return JudgedOption(option, own, savings[Scenario.AS_IT_WAS], min(savings.values()), max(regrets))
