"""The months of the house's books: money is booked on a day of an open one, and a closed one stays as it is for ever.

Here alone the day is chosen. A trigger refuses what went past it. Who books money shares a turn until its commit, and
who closes a month has it alone: nothing is under way into a month that is being closed.
"""

from datetime import date, datetime, timedelta

from sqlalchemy import func, literal, select, text

from broker import errors
from broker.clock import local_day, month_end
from broker.contracts.terms.model import ContractTerms
from broker.ledger.tables import ClosedPeriod
from broker.persistence.driver import Command, Query, Statement
from broker.work import Work

# Migration 0093 names it, too.
PERIOD_TURN = 7_203_121
SHARE_TURN = Statement(select(func.pg_advisory_xact_lock_shared(text(str(PERIOD_TURN)))))
CLOSED = Query(select(func.max(ClosedPeriod.month).label("month")))
INSTANT = timedelta(microseconds=1)


def name_month(day: date) -> str:
    """Name the month of a day: "2026-11"."""
    return day.strftime("%Y-%m")


def find_last_day(terms: ContractTerms, month: str) -> date:
    """Find the last day of a contract's billing month in its own time zone: its usage is earned by then."""
    return local_day(terms.month_end(month) - INSTANT, terms.of_month(month).time_zone)


def list_months_to_close(terms: ContractTerms, period: str) -> list[str]:
    """List the billing months of a contract that a closed period takes in: those whose last day is in it or before."""
    month, found = terms.billing_month(terms.starts_at), []
    while name_month(find_last_day(terms, month)) <= period:
        found.append(month)
        month = terms.billing_month(terms.month_end(month))
    return found


def choose_day(today: date, wanted: date | None, closed_through: str | None) -> date:
    """Choose the day on which money is booked: the one that is wanted, or today where its month is closed. Pure.

    What is wanted is never later than today. Raises: PeriodClosed, where today's month itself is closed.
    """
    day = min(today, wanted or today)
    if closed_through is not None and name_month(day) <= closed_through:
        day = today
    if closed_through is not None and name_month(day) <= closed_through:
        raise errors.PeriodClosed(
            f"The books of {name_month(day)} are closed: nothing is booked into it any more. Is the clock right?",
            month=name_month(day),
        )
    return day


async def read_closed_through(work: Work) -> str | None:
    """Read the last month whose books are closed; None closed yet. Whoever asks keeps it so until its commit."""
    _turn, rows = await work.run_together([Command(SHARE_TURN, {}), Command(CLOSED, {})])
    month: str | None = rows[0][0]
    return month


async def choose_booking_day(work: Work, wanted: date | None = None) -> date:
    """Choose the day on which money is booked, by `choose_day`. Raises: PeriodClosed."""
    return choose_day(get_today(work), wanted, await read_closed_through(work))


def get_today(work: Work) -> date:
    """Get the day that it is in the house's own time zone."""
    return local_day(work.now, work.settings.time_zone)


async def take_period_turn(work: Work) -> None:
    """Take the turn of who closes, until the commit: who books money, or signs a contract, has committed or waits."""
    await work.session.execute(select(func.pg_advisory_xact_lock(literal(PERIOD_TURN))))


async def close_period(work: Work, month: str, *, closed_by: str) -> ClosedPeriod:
    """Close the books of a month, with all before it, for a key. It waits for whoever is booking money.

    Raises: InvalidRequest, where the month is not over; PeriodClosed, where it is closed already.
    """
    await take_period_turn(work)
    require_over(work, month)
    last = await work.session.scalar(select(func.max(ClosedPeriod.month)))
    if last is not None and month <= last:
        raise errors.PeriodClosed(f"The books of {month} are closed already.", month=month)
    row = ClosedPeriod(month=month, closed_by=closed_by, closed_at=work.now)
    work.session.add(row)
    await work.session.flush()
    return row


def require_over(work: Work, month: str) -> None:
    """Require that a month of the house is over. Raises: PeriodStillOpen."""
    ends: datetime = month_end(month, work.settings.time_zone)
    if work.now < ends:
        raise errors.PeriodStillOpen(
            f"{month} ends at {ends.isoformat()}; its books close from then on.",
            errors=[errors.FieldError("month", "is not over")],
            month=month,
        )


async def find_closed_period(work: Work, month: str) -> ClosedPeriod | None:
    """Find the record of a closed month; one that was closed with a later one has that one's."""
    query = select(ClosedPeriod).where(ClosedPeriod.month >= month).order_by(ClosedPeriod.month).limit(1)
    return (await work.session.scalars(query)).one_or_none()
