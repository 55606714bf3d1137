"""Numbers of documents: without gaps, in a series of their own for each kind and year."""

from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.dialects.postgresql import insert

from broker.billing.tables import InvoiceNumber
from broker.work import Work


class Series(StrEnum):
    """How the numbers of a kind of document begin."""

    INVOICE = "INV"
    CREDIT_NOTE = "CN"


async def next_number(work: Work, series: Series) -> str:
    """Take the next number of a series in the present year of the broker's time zone. It is locked until the commit."""
    year = work.now.astimezone(ZoneInfo(work.settings.time_zone)).year
    statement = insert(InvoiceNumber).values(series=series.value, year=year, last_number=1)
    counted = statement.on_conflict_do_update(
        index_elements=[InvoiceNumber.series, InvoiceNumber.year],
        set_={"last_number": InvoiceNumber.last_number + 1},
    ).returning(InvoiceNumber.last_number)
    number = await work.session.scalar(counted)
    return f"{series.value}-{year}-{number:06d}"
