"""The table of the issue, cell by cell."""

import pytest

from broker.contracts.terms.arrears import ALLOWED, ArrearsState

TABLE = """
state      submit              running             buy  paying            download  data
current    all                 all                 yes  pays              yes       kept
grace      within_paid_grants  all                 no   pays              yes       kept
suspended  within_paid_grants  within_paid_grants  no   pays_and_resumes  yes       kept
retention  none                none                no   pays_and_resumes  yes       deletion_announced
closed     none                none                no   to_debts_only     no        deleted
"""
HEADER, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(row[0], column, cell) for row in ROWS for column, cell in zip(HEADER[1:], row[1:], strict=True)]


@pytest.mark.parametrize(("state", "column", "cell"), CELLS)
def test_each_cell_is_as_the_issue_has_it(state: str, column: str, cell: str) -> None:
    value = getattr(ALLOWED[ArrearsState(state)], column)
    assert value == ({"yes": True, "no": False}.get(cell, cell))


def test_table_has_every_state() -> None:
    assert list(ALLOWED) == list(ArrearsState)
