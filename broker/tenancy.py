"""The services' own side of tenancy: a customer's session reads that customer's rows only.

The same rule as the database's row-level security, kept a second time: neither is the only thing between two tenants.
"""

from functools import lru_cache

from sqlalchemy import ColumnElement, event, or_
from sqlalchemy.orm import LoaderCriteriaOption, ORMExecuteState, Session, with_loader_criteria

from broker.database import Base

SHARED_WITHOUT_CUSTOMER = frozenset({"queues"})


def confine(session: Session, customer_id: str) -> None:
    """From now on every SELECT over mapped classes, `session.get` too, is of this customer."""
    options = _criteria(customer_id)

    @event.listens_for(session, "do_orm_execute")
    def add_conditions(state: ORMExecuteState) -> None:
        if state.is_select:
            state.statement = state.statement.options(*options)


@lru_cache(maxsize=256)
def _criteria(customer_id: str) -> tuple[LoaderCriteriaOption, ...]:
    classes = [mapper.class_ for mapper in Base.registry.mappers]
    owned = [table for table in classes if _owner_column(table) is not None]
    return tuple(with_loader_criteria(table, _condition(table, customer_id)) for table in owned)


def _owner_column(table: type[Base]) -> str | None:
    """The column that says whose row it is; None for tables that belong to nobody."""
    if table.__tablename__ == "customers":
        return "id"
    return "customer_id" if "customer_id" in table.__table__.c else None


def _condition(table: type[Base], customer_id: str) -> ColumnElement[bool]:
    column = table.__table__.c[_owner_column(table) or ""]
    own: ColumnElement[bool] = column == customer_id
    return or_(own, column.is_(None)) if table.__tablename__ in SHARED_WITHOUT_CUSTOMER else own
