"""Sources: who may report usage from outside of runs, each registered by staff under the name that its events carry."""

from collections.abc import Collection

from sqlalchemy import Select, select

from broker import errors
from broker.identity.service import get_customer
from broker.metering.keeping.storing import RUN_SOURCES
from broker.metering.tables import UsageSource
from broker.persistence.database import add_unique, narrow
from broker.work import Work


async def register_source(work: Work, *, source: str, name: str, customer_id: str | None) -> UsageSource:
    """Register a source of one customer's usage, or of everybody's. Raises: NotFound, NameTaken, InvalidRequest."""
    if source.startswith(RUN_SOURCES):
        raise errors.invalid_field("source", f"must not begin with {RUN_SOURCES}, which names the runs of this broker")
    if customer_id is not None:
        await get_customer(work, customer_id)
    row = UsageSource(
        id=work.new_id("src"), source=source, name=name, customer_id=customer_id, open=True, created_at=work.now
    )
    message = "is registered already; its events are told apart by their ids"
    taken = errors.NameTaken(f"source: {message}", errors=[errors.FieldError("source", message)])
    await add_unique(work.session, row, taken)
    return row


async def change_source(work: Work, source_id: str, *, is_open: bool) -> UsageSource:
    """Open or close a source: nothing is taken from a closed one. Raises: NotFound."""
    row = await get_source(work, source_id)
    row.open = is_open
    return row


async def get_source(work: Work, source_id: str) -> UsageSource:
    """Get a source. Raises: NotFound."""
    row = await work.session.get(UsageSource, source_id)
    if row is None:
        raise errors.NotFound("usage source", source_id)
    return row


def select_sources(**wanted: str | None) -> Select[UsageSource]:
    """Select the sources that the actor sees, all or those with these values in their columns."""
    return narrow(select(UsageSource), **wanted)


def no_source() -> errors.FieldError:
    """Tell that an event names no source of which anything is taken."""
    return errors.FieldError("source", "is no open source of usage; staff registers one with POST /v1/usage-sources")


async def find_open_sources(work: Work, names: Collection[str]) -> dict[str, UsageSource]:
    """Find those sources with these names that are open, by their names."""
    query = select(UsageSource).where(UsageSource.source.in_(names), UsageSource.open)
    return {row.source: row for row in await work.session.scalars(query)}
