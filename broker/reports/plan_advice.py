"""Plan advice: what a customer's last months would have cost on each plan, by today's card; for the next contract."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from broker.clock import local_day, next_month
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.identity import service as identity
from broker.jobs.tables import Run
from broker.ledger.tables import Capture
from broker.metering.tables import UsageStream
from broker.work import Work
from pricing.plan_advice.advice import PlanAdvice, advise_plan
from pricing.plan_advice.costs import TERM_MONTHS, MonthUsage, PlanOption
from pricing.rate_card import RateCard
from pricing.usage import Unit

DAYS_PER_MONTH = 365.25 / TERM_MONTHS


@dataclass(frozen=True)
class CustomerAdvice:
    """The advice for a customer, the billing months that it is from ("2026-11"), and what the customer has now.

    Without a whole month there is no advice yet. `card` is the one whose prices it is by.
    """

    customer_id: str
    customer: str
    months: Sequence[str]
    usage: Sequence[MonthUsage]
    present: Collection[PlanOption]
    card: RateCard
    advice: PlanAdvice | None


async def advise_customer(work: Work, customer_id: str, *, most_months: int) -> CustomerAdvice:
    """Advise a customer by the last whole months that it has had a contract, so many at most.

    Raises: NotFound; pricing.rate_card.NoPriceInForce.
    """
    customer = await identity.get_customer(work, customer_id)
    rows = (await work.session.scalars(contracts.select_contracts(customer_id=customer_id))).all()
    signed = [terms for terms in await contracts.load_rows(work, rows) if terms.cancelled_at is None]
    months = choose_months(signed, work.now, most_months)
    usage = await _read_usage(work, customer_id, months)
    present = [describe_present(terms, work.now) for terms in signed if terms.covers(work.now)]
    card = await contracts.rate_card_on(work, local_day(work.now, work.settings.time_zone))
    advice = advise_plan(card, usage, present) if usage else None
    return CustomerAdvice(customer_id, customer.name, months, usage, present, card, advice)


def choose_months(signed: Sequence[ContractTerms], now: datetime, most: int) -> list[str]:
    """Choose the last billing months that are over, from the first whole one under a contract on; the oldest first.

    Where contracts differ in when their months begin, the first one's count.
    """
    if not signed:
        return []
    first = min(signed, key=lambda terms: terms.starts_at)
    month = first.billing_month(first.starts_at)
    if first.month_start(month) < first.starts_at:
        month = next_month(month)
    months: list[str] = []
    while first.month_start(next_month(month)) <= now:
        months.append(month)
        month = next_month(month)
    return months[-most:]


def describe_present(terms: ContractTerms, now: datetime) -> PlanOption:
    """Describe what a contract has committed to as of a year, in whole GPU-hours; one without an end has a year's."""
    committed = terms.at(now).committed_gpu_hours
    if terms.ends_at is None:
        return PlanOption(terms.plan, committed)
    months = max(1, round((terms.ends_at - terms.starts_at).days / DAYS_PER_MONTH))
    return PlanOption(terms.plan, committed * TERM_MONTHS // months)


async def _read_usage(work: Work, customer_id: str, months: Sequence[str]) -> list[MonthUsage]:
    """Read what a customer was charged for, month by month: what the house bore is no usage of it."""
    if not months:
        return []
    ran_on = func.coalesce(Run.gpu_type, UsageStream.gpu_type)
    query = (
        select(Capture.used_month, Capture.unit, ran_on, func.sum(Capture.quantity))
        .outerjoin(Run, Run.id == Capture.run_id)
        .outerjoin(UsageStream, UsageStream.id == Capture.run_id)
        .where(Capture.customer_id == customer_id, ~Capture.borne)
        .where(Capture.used_month.between(months[0], months[-1]), Capture.month >= months[0])
        .group_by(Capture.used_month, Capture.unit, ran_on)
    )
    seconds: defaultdict[str, dict[str | None, int]] = defaultdict(dict)
    tokens: Counter[str] = Counter()
    for month, unit, gpu_type, quantity in await work.session.execute(query):
        if unit == Unit.GPU_SECONDS:
            seconds[month][gpu_type] = int(quantity)
        else:
            tokens[month] += int(quantity)
    return [MonthUsage(seconds[month], tokens[month]) for month in months]
