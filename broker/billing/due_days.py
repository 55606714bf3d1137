"""Days on which something is due: never a day off. Working days are those of the issuer's country, 调休 and all."""

from datetime import date, datetime, timedelta
from functools import cache

import holidays

from broker.clock import local_day
from broker.contracts.terms.model import ContractTerms

NO_CALENDAR = "none"
DAY = timedelta(days=1)


@cache
def _load_calendar(country: str) -> holidays.HolidayBase:
    return holidays.country_holidays(country)


def is_working_day(day: date, country: str) -> bool:
    """Tell whether people work on a day in a country; `none`: on every day.

    What a government has not announced yet is not known: of such a year weekends and the days that a law names are off.
    """
    return country == NO_CALENDAR or bool(_load_calendar(country).is_working_day(day))


def find_working_day(day: date, country: str) -> date:
    """Find the first working day from a day on."""
    while not is_working_day(day, country):
        day += DAY
    return day


def add_working_days(day: date, count: int, country: str) -> date:
    """Find the day that comes so many working days after a day."""
    for _ in range(count):
        day = find_working_day(day + DAY, country)
    return day


def compute_due_day(terms: ContractTerms, issued_at: datetime, expires_at: datetime | None, country: str) -> date:
    """Compute the last day on which an invoice is paid in time, in its contract's time zone.

    It is as many days after that of its issue as the contract gives then, or the next working day after a day off; an
    order is paid before it expires. Source: Civil Code of the PRC, article 203.
    """
    then = terms.at(issued_at)
    due = find_working_day(local_day(issued_at, then.time_zone) + timedelta(days=then.payment_days), country)
    return due if expires_at is None else min(due, local_day(expires_at, then.time_zone))
