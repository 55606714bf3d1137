"""Why two indexes were not made: what decision 0075 says of PostgreSQL is so, with the server that we ship."""

import psycopg
import pytest

from broker.processes.boot import DatabaseUrls
from tests.broker.rows import owner_connection


def test_with_row_level_security_numbers_and_text_are_compared_before_the_policy_and_arrays_are_not(
    urls: DatabaseUrls,
) -> None:
    """A comparison that may tell what it compares (by an error, say) has to wait until the policy lets the row pass."""
    query = "SELECT proname, proleakproof FROM pg_proc WHERE proname IN ('int8eq', 'texteq', 'array_eq')"
    with owner_connection(urls) as connection:
        found = {row["proname"]: row["proleakproof"] for row in connection.execute(query)}
    assert found == {"int8eq": True, "texteq": True, "array_eq": False}


@pytest.mark.parametrize(
    ("index", "hot"), [("(queue)", 1), ("(queue) WHERE used > 0", 0), ("(queue) INCLUDE (used)", 0)]
)
def test_a_heartbeat_leaves_indexes_alone_unless_one_of_them_names_what_it_changes(
    urls: DatabaseUrls, index: str, hot: int
) -> None:
    with owner_connection(urls) as connection, connection.transaction(force_rollback=True):
        connection.execute("CREATE TABLE busy (id int PRIMARY KEY, queue text, used bigint)")
        connection.execute(f"CREATE INDEX ON busy {index}".encode())
        connection.execute("INSERT INTO busy VALUES (1, 'standard', 5)")
        connection.execute("UPDATE busy SET used = 6")
        assert count_hot(connection) == hot


def count_hot(connection: psycopg.Connection[dict[str, object]]) -> object:
    """How many rows were changed without a new entry in any index, in this transaction."""
    row = connection.execute("SELECT pg_stat_get_xact_tuples_hot_updated('busy'::regclass) AS hot").fetchone()
    assert row is not None
    return row["hot"]
