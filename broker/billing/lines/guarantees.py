"""The part of a draft that charges for guaranteed GPUs: of each type and price the part of the month that it held."""

from datetime import datetime
from zoneinfo import ZoneInfo

from broker.billing.model import DraftLine, LineKind
from broker.contracts.terms.guarantees import GuaranteedPeriod, compute_charge, list_guaranteed_periods
from broker.contracts.terms.model import ContractTerms
from broker.work import Work
from pricing.money import Money


async def guarantee_lines(_work: Work, terms: ContractTerms, month: str) -> list[DraftLine]:
    """Draft the lines of a month's guaranteed GPUs, known as soon as the month is: an amendment alone changes them."""
    return draft_guarantees(terms, month)


def draft_guarantees(terms: ContractTerms, month: str) -> list[DraftLine]:
    """Draft one line for each time in which as many GPUs of a type were guaranteed at one price."""
    periods = list_guaranteed_periods(terms, terms.month_start(month), terms.month_end(month))
    return [_draft(period, terms, month) for period in periods]


def _draft(period: GuaranteedPeriod, terms: ContractTerms, month: str) -> DraftLine:
    guaranteed, zone = period.guaranteed, terms.of_month(month).time_zone
    assert period.ends_at is not None, "a month has an end"
    price = Money(guaranteed.price_micros).format_amount()
    term = f"{_write(period.begins_at, zone)} to {_write(period.ends_at, zone)}"
    what = f"{guaranteed.gpus} guaranteed {guaranteed.gpu_type} at {price} a month each, {term}"
    return DraftLine(LineKind.GUARANTEE, what, compute_charge(period, terms, month))


def _write(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
