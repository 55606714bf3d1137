"""The services' own side of tenancy: a customer's session reads that customer's rows only.

The same rule as the database's row-level security, kept a second time: neither is the only thing between two tenants.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    ColumnElement,
    Executable,
    String,
    Table,
    Text,
    any_,
    bindparam,
    event,
    false,
    or_,
)
from sqlalchemy.orm import InstrumentedAttribute, LoaderCriteriaOption, ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.util import find_tables

from broker.persistence.database import Base

CONFINED_TO, PROJECTS = "confined_to", "projects"
OF_ALL_PROJECTS = frozenset({"datasets", "quotes"})
SHARED_WITHOUT_CUSTOMER = frozenset({"queues", "environments"})
EVERYWHERE = {"check_columns": True, "include_aliases": True, "include_joins": True, "include_selects": True}


def confine(session: Session, customer_id: str, projects: frozenset[str] | None = None) -> None:
    """Confine a session to a customer's rows: every SELECT over mapped classes, `session.get` too, sees no others.

    With `projects`, of what belongs to a project only what is of one of these.
    """
    session.info[CONFINED_TO] = customer_id
    session.info[PROJECTS] = projects


@event.listens_for(Session, "do_orm_execute")  # once for all: a listener of each session costs as much as a statement
def _add_conditions(state: ORMExecuteState) -> None:
    customer_id = state.session.info.get(CONFINED_TO)
    if state.is_select and customer_id is not None:
        named = name_tables(state.statement)
        options = [option for name, option in _criteria(customer_id).items() if name in named]
        projects = state.session.info.get(PROJECTS)
        if projects is not None:
            options += [option for name, option in _project_criteria(projects).items() if name in named]
        state.statement = state.statement.options(*options)


# Who asks a statement that goes past the session, as `Work.fetch` tells it; null sees every tenant.
ASKING = bindparam("asking_customer_id", type_=String)


def owns(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], customer_id: ColumnElement[Any] = ASKING
) -> ColumnElement[bool]:
    """Make the same condition for a statement that no session sees (`driver.py`); a null customer sees every tenant."""
    return or_(customer_id.is_(None), column == customer_id)


# The same for a statement of several customers at once, `seen_by` a list of their ids.
SEEN_BY = bindparam("seen_by", type_=ARRAY(Text))


def is_seen(column: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Make the condition that a row is of one of the customers `seen_by`; null sees every tenant's."""
    return or_(SEEN_BY.is_(None), column == any_(SEEN_BY))


def name_tables(statement: Executable) -> set[str]:
    """Name every table that a statement reads: those of its subqueries, joins and single columns, too."""
    assert isinstance(statement, ClauseElement)
    return {table.name for table in find_tables(statement, **EVERYWHERE) if isinstance(table, Table)}


@lru_cache(maxsize=256)
def _criteria(customer_id: str) -> dict[str, LoaderCriteriaOption]:
    """Make the conditions by table: a statement gets only its tables' own, since each costs as much as a statement."""
    classes = [mapper.class_ for mapper in Base.registry.mappers]
    owned = [table for table in classes if _owner_column(table) is not None]
    return {table.__tablename__: with_loader_criteria(table, _condition(table, customer_id)) for table in owned}


@lru_cache(maxsize=256)
def _project_criteria(projects: frozenset[str]) -> dict[str, LoaderCriteriaOption]:
    """Make the conditions of those who are members of some projects and see nothing of others.

    What all projects share is seen by who is in one of them, and by nobody who was removed from all.
    """
    own = sorted(projects)
    conditions = {}
    for table in (mapper.class_ for mapper in Base.registry.mappers):
        if table.__tablename__ in OF_ALL_PROJECTS:
            if not own:
                conditions[table.__tablename__] = with_loader_criteria(table, false())
            continue
        name = "id" if table.__tablename__ == "projects" else "project_id"
        if name in table.__table__.c:
            conditions[table.__tablename__] = with_loader_criteria(table, table.__table__.c[name].in_(own))
    return conditions


def _owner_column(table: type[Base]) -> str | None:
    """Name the column that says whose row it is; None for tables that belong to nobody."""
    if table.__tablename__ == "customers":
        return "id"
    return "customer_id" if "customer_id" in table.__table__.c else None


def _condition(table: type[Base], customer_id: str) -> ColumnElement[bool]:
    column = table.__table__.c[_owner_column(table) or ""]
    own: ColumnElement[bool] = column == customer_id
    return or_(own, column.is_(None)) if table.__tablename__ in SHARED_WITHOUT_CUSTOMER else own
