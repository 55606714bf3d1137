"""Storing events: the statements' own lists of columns are those of the tables, in names, order and types."""

import re

import pytest
from sqlalchemy import Table

from broker.metering.keeping.storing import CLAIM, STORE
from broker.metering.tables import UsageEvent, UsageEventKey
from broker.persistence.driver import DIALECT, Statement

WRITTEN = {"TIMESTAMP WITH TIME ZONE": "timestamptz", "VARCHAR": "text", "JSONB": "jsonb", "BIGINT": "bigint"}


def list_told(statement: Statement) -> dict[str, str]:
    """List the columns that a statement reads its rows as, with their types."""
    found = re.search(r"AS told \(\s*(source text.*?)\)", statement.text.decode(), re.DOTALL)
    assert found is not None
    return dict(each.split() for each in found[1].split(","))


@pytest.mark.parametrize(
    ("statement", "table", "computed"),
    [(STORE, UsageEvent.__table__, {}), (CLAIM, UsageEventKey.__table__, {"digest": "event jsonb"})],
)
def test_columns_of_a_statement_are_those_of_its_table(
    statement: Statement, table: Table, computed: dict[str, str]
) -> None:
    kinds = {column.name: WRITTEN.get(str(column.type.compile(DIALECT)), "?") for column in table.columns}
    expected = {name: kind for name, kind in kinds.items() if name not in computed}
    expected |= dict(each.split() for each in computed.values())
    assert list_told(statement) == expected
