"""The part of a draft that charges for guaranteed GPUs: of each type and price the part of the month that it held."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from broker.billing.model import DraftLine, LineKind
from broker.contracts.terms.guarantees import MICROSECOND, GuaranteedPeriod, compute_charge, list_guaranteed_periods
from broker.contracts.terms.model import ContractTerms
from pricing.money import Money


def draft_guarantees(terms: ContractTerms, month: str, until: datetime | None = None) -> list[DraftLine]:
    """Draft one line for each time in which as many GPUs of a type were guaranteed at one price.

    They are known as soon as the month is: an amendment alone changes them. `until`: of the time by then.
    """
    end = terms.month_end(month) if until is None else min(until, terms.month_end(month))
    periods = list_guaranteed_periods(terms, terms.month_start(month), end)
    return [_draft(period, terms, month) for period in periods]


def _draft(period: GuaranteedPeriod, terms: ContractTerms, month: str) -> DraftLine:
    guaranteed, zone = period.guaranteed, terms.of_month(month).time_zone
    assert period.ends_at is not None, "a month has an end"
    price = Money(guaranteed.price_micros).format_amount()
    term = f"{_write(period.begins_at, zone)} to {_write(period.ends_at, zone)}"
    what = f"{guaranteed.gpus} guaranteed {guaranteed.gpu_type} at {price} a month each, {term}"
    amount = compute_charge(period, terms, month)
    return DraftLine(LineKind.GUARANTEE, what, amount, basis=_describe_basis(period, terms, month))


def _describe_basis(period: GuaranteedPeriod, terms: ContractTerms, month: str) -> dict[str, Any]:
    assert period.ends_at is not None, "a month has an end"
    guaranteed, whole = period.guaranteed, terms.calendar.whole_end(month) - terms.month_start(month)
    return {
        "guarantee": {
            "gpus": guaranteed.gpus,
            "price": Money(guaranteed.price_micros).format_amount(),
            "microseconds": (period.ends_at - period.begins_at) // MICROSECOND,
            "of_microseconds": whole // MICROSECOND,
        }
    }


def _write(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
