"""The GPU types that an order may run on, each at its price: what it accepts, pays for, and ends in time on. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from broker import errors
from broker.capacity.start_forecasts import QueueStarts
from broker.jobs.admitting.request import JobRequest
from broker.jobs.rules.limits import require_one_step
from broker.ledger.service import HoldNeed, Reserves
from broker.quotes import service as quotes
from broker.quotes.costing.prices import PlanQuote
from broker.quotes.service import Quote, QuotedType
from pricing.budget import price_one_step
from pricing.catalog import find_gpu
from pricing.estimate.type_choice import (
    TypedRun,
    find_seconds_to_end,
    keep_affordable,
    keep_timely,
    order_runs,
)
from pricing.money import Money
from pricing.usage import Usage
from pricing.usage_prices import UsagePrices

# What is told as the earliest date can still be met when the customer asks for it.
TIME_TO_ASK_AGAIN = timedelta(minutes=2)


@dataclass(frozen=True)
class TypeTerms:
    """An order on one GPU type: what its quote shows there, what the whole job needs, and what usage costs now."""

    quoted: QuotedType
    shown: PlanQuote
    whole: HoldNeed
    prices: UsagePrices

    @cached_property
    def run(self) -> TypedRun:
        """The run as the planner weighs it."""
        seconds, micros = self.quoted.estimate.gpu_seconds, self.prices.price_up(self.whole.usage.by_meter)
        return TypedRun(self.quoted.sku, seconds.p50, seconds.p90, micros)

    def price_one_step(self) -> Money:
        """Price one step of it: the least sum with which it runs at all."""
        return price_one_step(self.prices, self.quoted.estimate.count_need())


def choose_types(
    request: JobRequest, quote: Quote, reserves: Reserves, moment: datetime, starts: QueueStarts | None
) -> list[TypeTerms]:
    """Choose the types that an order may run on, the one that it would rather have first.

    Of those that it accepts, each at its price, those that its sum pays for and that meet its date.
    Raises: InvalidRequest, QuoteStale, MaxCostExceeded, DeadlineUnreachable.
    """
    types = [_price_type(request, quote, each, reserves, moment) for each in pick_types(request.gpu_types, quote)]
    if request.max_cost is not None:
        types = keep_paid_types(types, request.max_cost)
    if request.finish_by is not None:
        types = keep_timely_types(types, request.finish_by, moment, starts)
    return types if len(types) == 1 else _pick(types, order_runs([each.run for each in types], request.prefer))


def pick_types(named: Sequence[str] | None, quote: Quote) -> list[QuotedType]:
    """Pick the types that an order accepts, by any spelling, out of those of its quote; None: all that the job fits on.

    Raises: InvalidRequest.
    """
    quoted = quote.gpu_types
    fitting = {each.sku: each for each in quoted if isinstance(each, QuotedType)}
    if named is None:
        return list(fitting.values())
    reasons = {each.sku: each.reason for each in quoted if not isinstance(each, QuotedType)}
    picked: dict[str, QuotedType] = {}
    for place, name in enumerate(named):
        gpu = find_gpu(name)
        sku = name if gpu is None else gpu.sku
        if sku not in fitting:
            known = f"the job may accept {', '.join(fitting)}"
            why = f"the job does not fit on {sku}: {reasons[sku]}" if sku in reasons else f"no quoted type; {known}"
            raise errors.invalid_field(f"gpu_types.{place}", why)
        picked[sku] = fitting[sku]
    return list(picked.values())


def _price_type(request: JobRequest, quote: Quote, on: QuotedType, reserves: Reserves, moment: datetime) -> TypeTerms:
    shown = quotes.require_quoted_price(quote, on, reserves.terms, moment)
    whole = HoldNeed(Usage(on.estimate.gpu_seconds.p90, on.estimate.tokens), request.project_id, on.sku)
    prices = reserves.find_prices(whole, moment)
    if request.quote_id is not None:
        quotes.require_quoted_cover(quote, on, shown, prices)
    return TypeTerms(on, shown, whole, prices)


def keep_paid_types(types: Sequence[TypeTerms], max_cost: Money) -> list[TypeTerms]:
    """Keep the types on which a sum pays for the whole job, else those on which it pays for a step of it.

    Raises: MaxCostExceeded, by the least that pays for one anywhere.
    """
    paid = [each for each in types if each.price_one_step() <= max_cost]
    if not paid:
        cheapest = min(types, key=TypeTerms.price_one_step)
        require_one_step(cheapest.quoted.estimate.count_need(), cheapest.prices, max_cost)
    return _pick(paid, keep_affordable([each.run for each in paid], max_cost.micros))


def keep_timely_types(
    types: Sequence[TypeTerms], finish_by: datetime, moment: datetime, starts: QueueStarts | None
) -> list[TypeTerms]:
    """Keep the types on which nine of ten such jobs have ended by a date, their wait counted.

    A type of which nobody knows when it will be free meets none.
    Raises: InvalidRequest, DeadlineUnreachable.
    """
    if finish_by <= moment:
        raise errors.invalid_field("finish_by", "must be in the future")
    told = {} if starts is None else starts.by_type
    waits = {sku: _count_wait(start.p90, moment) for sku, start in told.items() if start.p90 is not None}
    known = [each.run for each in types if each.quoted.sku in waits or each.quoted.sku not in told]
    gpus = types[0].quoted.estimate.gpus
    timely = keep_timely(known, int((finish_by - moment).total_seconds()), waits, gpus)
    if timely:
        return _pick(types, timely)
    ends = [moment + timedelta(seconds=find_seconds_to_end(run, waits, gpus)) for run in known]
    raise errors.DeadlineUnreachable(_tell_earliest(min(ends)) if ends else None)


def _count_wait(start: datetime, moment: datetime) -> int:
    return math.ceil((start - moment).total_seconds())


def _tell_earliest(end: datetime) -> datetime:
    return end.replace(second=0, microsecond=0) + TIME_TO_ASK_AGAIN


def _pick(types: Sequence[TypeTerms], runs: Sequence[TypedRun]) -> list[TypeTerms]:
    by_sku = {each.quoted.sku: each for each in types}
    return [by_sku[run.sku] for run in runs]
