"""What an order is admitted under: its queue, its GPU types, its limits, and what its hold reserves. Pure.

An order that names no types takes all of its quote that its contract can pay for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from broker import errors
from broker.capacity import service as capacity
from broker.capacity.start_forecasts import ExpectedStarts, find_queue_starts
from broker.jobs.admitting.request import JobRequest
from broker.jobs.admitting.type_terms import TypeTerms, choose_types
from broker.jobs.rules.limits import NOTHING_SPENT, Limits, QuotedNeed, clip_need, plan_limits, widen_limits
from broker.ledger import service as ledger
from broker.ledger.service import HoldNeed, NewLeg, Reserves
from broker.quotes.service import Quote

NOTHING_KNOWN: ExpectedStarts = {}


@dataclass(frozen=True)
class OrderTerms:
    """What an order is admitted under; `types` are those that it may run on, the one that it would rather have first.

    `need` is that on the dearest type; the legs are those of its hold, which covers each.
    """

    queue: str
    limits: Limits
    types: Sequence[TypeTerms]
    need: HoldNeed
    legs: Sequence[NewLeg]


def plan_terms(
    request: JobRequest, quote: Quote, reserves: Reserves, moment: datetime, starts: ExpectedStarts = NOTHING_KNOWN
) -> OrderTerms:
    """Plan the queue that an order enters, where it may run, pauses or ends, and what its hold reserves.

    `starts`: when a job that came now would start.

    Raises: QuoteStale, MaxCostExceeded, InvalidRequest, InsufficientBalance, BudgetExceeded, CreditLimitExceeded,
    NoContractInForce, DeadlineUnreachable.
    """
    queue = capacity.resolve_queue(reserves.terms, request.queue)
    types = choose_types(
        request, quote, reserves, moment, find_queue_starts(starts, queue, quote.estimate.gpus, moment)
    )
    return _hold(request, queue, types, reserves, moment)


def _hold(
    request: JobRequest, queue: str, types: Sequence[TypeTerms], reserves: Reserves, moment: datetime
) -> OrderTerms:
    """Plan the hold over all types; of those that the order did not name itself, one that cannot be paid is left out.

    Raises: InsufficientBalance, BudgetExceeded, CreditLimitExceeded, NoContractInForce.
    """
    limits = widen_limits([_plan_limits(request, each, reserves) for each in types])
    needs = [_clip(each, limits) for each in types]
    if len(types) > 1 and request.gpu_types is None:
        unpaid = {
            each.quoted.sku: refusal
            for each, need in zip(types, needs, strict=True)
            if (refusal := _find_refusal(reserves, need, moment)) is not None
        }
        left = [each for each in types if each.quoted.sku not in unpaid]
        if unpaid and left:
            return _hold(request, queue, left, reserves, moment)
    need, legs = ledger.plan_wide_hold(reserves, needs, moment)
    return OrderTerms(queue, limits, types, need, legs)


def _plan_limits(request: JobRequest, on: TypeTerms, reserves: Reserves) -> Limits:
    return plan_limits(
        reserves.terms.quote_guarantee,
        on.prices,
        QuotedNeed(on.whole.usage, on.shown.total_p90),
        was_named=request.quote_id is not None,
        max_cost=request.max_cost,
    )


def _clip(on: TypeTerms, limits: Limits) -> HoldNeed:
    return replace(on.whole, usage=clip_need(limits, NOTHING_SPENT, on.prices, on.whole.usage))


def _find_refusal(reserves: Reserves, need: HoldNeed, moment: datetime) -> errors.DomainError | None:
    """Find why the contract cannot pay for a need; None: it can. Raises: NoContractInForce."""
    try:
        reserves.plan_hold(need, moment)
    except ledger.UNPAID as refusal:
        return refusal
    return None
