"""More rows of everything that a tenant has, written by the database itself: what pages list grows."""

import psycopg
from sqlalchemy import Integer, Table, Text
from sqlalchemy.types import BigInteger, String

from broker.all_tables import METADATA

MORE = 3
# Unique texts of a row; what it refers to stays.
OWN = frozenset({"id", "number", "serial"})
# What there is one of for each contract or customer, or what would be another tenant's.
ALONE = frozenset({"accounts", "customers", "closed_months", "contract_quotas"})


def copy_rows(owner_url: str, customer_id: str) -> dict[str, int]:
    """Copy each row of a customer so many times, with ids and other unique texts of its own; rules are put aside.

    Returns how many rows more each table has.
    """
    copied = {}
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SELECT set_config('broker.scope', 'all', false)")
        for table in METADATA.sorted_tables:
            if "customer_id" in table.columns and table.name not in ALONE:
                cursor = connection.execute(compose_copy(table).encode(), {"customer_id": customer_id})
                copied[table.name] = cursor.rowcount
    return copied


def compose_copy(table: Table) -> str:
    """Compose what copies the rows of a table; a copy that would be the same row again is left out."""
    names, values = [], []
    for column in table.columns:
        counts_up = column.primary_key and column.autoincrement is True
        if column.computed is not None or (counts_up and isinstance(column.type, (Integer, BigInteger))):
            continue
        is_text = isinstance(column.type, (String, Text))
        names.append(f'"{column.name}"')
        values.append(f"t.{column.name} || '_' || n" if is_text and column.name in OWN else f't."{column.name}"')
    rows = f"(SELECT * FROM {table.name} WHERE customer_id = %(customer_id)s) AS t"
    series = f"generate_series(1, {MORE}) AS n"
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {rows}, {series}"
        " ON CONFLICT DO NOTHING"
    )
