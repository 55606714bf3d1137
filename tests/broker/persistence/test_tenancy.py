"""The services' own guard finds every table that a statement reads, wherever in it the table stands."""

import pytest
from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import aliased

from broker.identity.tables import ApiKey, Customer, Project
from broker.persistence.tenancy import name_tables

OTHER = aliased(Project)
NEWEST = select(func.max(Project.id)).scalar_subquery()
STATEMENTS = {
    "entity": (select(Project), {"projects"}),
    "columns": (select(Project.id, ApiKey.name), {"projects", "api_keys"}),
    "count": (select(func.count()).select_from(Project), {"projects"}),
    "alias": (select(OTHER.id), {"projects"}),
    "alias of a subquery": (select(aliased(Project, select(Project).subquery())), {"projects"}),
    "join": (select(Customer).join(OTHER, OTHER.customer_id == Customer.id), {"customers", "projects"}),
    "outer join": (select(Customer).outerjoin(Project), {"customers", "projects"}),
    "exists": (select(Customer).where(exists().where(Project.customer_id == Customer.id)), {"customers", "projects"}),
    "in": (select(Customer).where(Customer.id.in_(select(OTHER.customer_id))), {"customers", "projects"}),
    "scalar subquery": (select(Customer.id, NEWEST), {"customers", "projects"}),
    "scalar subquery alone": (select(func.coalesce(NEWEST, "none")), {"projects"}),
    "order": (select(Customer).order_by(NEWEST), {"customers", "projects"}),
    "subquery": (select(select(Project.id).subquery().c.id), {"projects"}),
    "cte": (select(select(Project.id).cte().c.id), {"projects"}),
    "lateral": (select(Customer.id, select(Project.id).lateral().c.id), {"customers", "projects"}),
    "locked": (select(Project).with_for_update(), {"projects"}),
}


@pytest.mark.parametrize("shape", STATEMENTS)
def test_every_table_of_a_statement_is_named(shape: str) -> None:
    statement: Select[tuple[object, ...]]
    statement, tables = STATEMENTS[shape]
    assert name_tables(statement) == tables
