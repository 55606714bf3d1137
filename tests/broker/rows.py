"""What stands in the tables, read as a superuser, whom row-level security does not stop."""

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from broker.processes.boot import DatabaseUrls

TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname
"""  # a partition is part of its table
TENANT_TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND a.attname = 'customer_id' AND NOT a.attisdropped AND NOT c.relispartition
    ORDER BY c.relname
"""


def owner_connection(urls: DatabaseUrls) -> psycopg.Connection[dict[str, object]]:
    assert urls.owner is not None
    return psycopg.connect(urls.owner, autocommit=True, row_factory=dict_row)


def list_tables(urls: DatabaseUrls, query: str = TABLES) -> list[str]:
    with owner_connection(urls) as connection:
        return [str(next(iter(row.values()))) for row in connection.execute(query.encode())]


def read_everything(urls: DatabaseUrls) -> dict[str, str]:
    """Digest every row of every table: equal before and after means that nothing was written.

    But for how many requests a key has sent, which is counted beside them.
    """
    with owner_connection(urls) as connection:
        digests = {}
        for table in set(list_tables(urls)) - {"request_counts"}:
            query = sql.SQL("SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS digest FROM {} t")
            row = connection.execute(query.format(sql.Identifier(table))).fetchone()
            assert row is not None
            digests[table] = str(row["digest"])
        return digests
