"""Billing months as pages ask for them: which one is shown, and the ones around it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Query

from broker.billing.schemas import LIKE_A_MONTH, MONTH_PATTERN
from broker.clock import local_day, next_month, previous_month

MonthAsked = Annotated[
    str | None, LIKE_A_MONTH, Query(pattern=MONTH_PATTERN, description="Billing month.", examples=["2026-11"])
]


@dataclass(frozen=True)
class MonthChoice:
    """The month that a page shows, with its neighbours; `following` is None where that has not begun."""

    month: str
    before: str
    following: str | None


def choose_month(asked: str | None, now: datetime, time_zone: str) -> MonthChoice:
    """Choose the month that is asked for, or the one under way in the time zone of the house."""
    current = f"{local_day(now, time_zone):%Y-%m}"
    month = asked or current
    return MonthChoice(month, previous_month(month), next_month(month) if month < current else None)


def choose_last_month(asked: str | None, now: datetime, time_zone: str) -> MonthChoice:
    """Choose the month that is asked for, or the last one that is over."""
    return choose_month(asked or previous_month(f"{local_day(now, time_zone):%Y-%m}"), now, time_zone)
