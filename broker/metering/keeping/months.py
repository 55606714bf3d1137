"""The partitions of usage events, one a month (UTC): made ahead, so that no event waits for one.

An event of a month that has none yet is kept in the default partition: nothing is ever refused for want of a partition.
"""

from datetime import date

from sqlalchemy import text

from broker.clock import next_month
from broker.work import Work

MONTHS_AHEAD = 3
# The function belongs to the owner of the tables: the application's own role makes none (migration 0022).
OPEN_MONTH = text("SELECT open_usage_month(:month)")


async def open_months_ahead(work: Work) -> list[str]:
    """Make the partitions of this month and the next ones, where they are missing; returns the new ones' months."""
    month, opened = work.now.strftime("%Y-%m"), []
    for _ in range(1 + MONTHS_AHEAD):
        if await work.session.scalar(OPEN_MONTH, {"month": date.fromisoformat(f"{month}-01")}):
            opened.append(month)
        month = next_month(month)
    return opened
