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
    (number,) = await take_numbers(work, series, 1)
    return number


async def take_numbers(work: Work, series: Series, count: int) -> list[str]:
    """Take the next numbers of a series, one after the other, as `next_number` does. Units: at least one.

    Each issuing entity has a series of its own: the code of who issues stands in it, where there is one.
    """
    year = work.now.astimezone(ZoneInfo(work.settings.time_zone)).year
    code = work.settings.issuer_code
    name = f"{series.value}-{code}" if code else series.value
    statement = insert(InvoiceNumber).values(series=name, year=year, last_number=count)
    counted = statement.on_conflict_do_update(
        index_elements=[InvoiceNumber.series, InvoiceNumber.year],
        set_={"last_number": InvoiceNumber.last_number + count},
    ).returning(InvoiceNumber.last_number)
    last = int(await work.session.scalar(counted) or 0)
    return [f"{name}-{year}-{number:06d}" for number in range(last - count + 1, last + 1)]
