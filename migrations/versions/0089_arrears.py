"""Arrears (欠费): how far a contract is behind with paying, its history, time that was given, what was deleted."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0089"
down_revision = "0088"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "(SELECT current_setting('broker.scope', true) = 'all') OR ((SELECT current_setting('broker.scope', true) ="
    " 'tenant') AND customer_id = (SELECT current_setting('broker.customer_id', true)))"
)
ROWS_OF_BATCH = (
    "(SELECT current_setting('broker.scope', true) = 'tenants') AND customer_id = ANY"
    " ((SELECT string_to_array(current_setting('broker.customer_id', true), ','))::text[])"
)
RECORDS = ("arrears_changes", "arrears_extensions", "arrears_deletions")


def upgrade() -> None:
    for name, column, default in (
        ("arrears_state", sa.String(), "current"),
        ("arrears_owed_micros", sa.BigInteger(), "0"),
    ):
        op.add_column("contracts", sa.Column(name, column, nullable=False, server_default=default))
        op.alter_column("contracts", name, server_default=None)
    create_arrears()
    create_changes()
    create_extensions()
    create_deletions()
    op.create_index(
        "ix_contracts_in_arrears", "contracts", ["id"], postgresql_where=sa.text("arrears_state <> 'current'")
    )
    for table in ("arrears", *RECORDS):
        rights = "SELECT, INSERT" if table in RECORDS else "SELECT, INSERT, UPDATE"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
        op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")
    for table in RECORDS:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def of_contract(table: str) -> list[Any]:
    """Make the columns by which a row belongs to a contract and its customer."""
    return [
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("contract_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f(f"fk_{table}_customer_id_customers")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f(f"fk_{table}_contract_id_contracts")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    ]


def moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def create_arrears() -> None:
    op.create_table(
        "arrears",
        *of_contract("arrears"),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since_on", sa.Date(), nullable=True),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("owed_micros", sa.BigInteger(), nullable=False),
        sa.Column("debts", postgresql.JSONB(), nullable=False),
        sa.Column("deletion_on", sa.Date(), nullable=True),
        moment("cleared_at", nullable=True),
        moment("changed_at"),
        moment("created_at"),
        sa.UniqueConstraint("contract_id", name=op.f("uq_arrears_contract_id")),
    )
    for column in ("customer_id", "state"):
        op.create_index(op.f(f"ix_arrears_{column}"), "arrears", [column])


def create_changes() -> None:
    op.create_table(
        "arrears_changes",
        *of_contract("arrears_changes"),
        sa.Column("before", sa.String(), nullable=False),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("owed_micros", sa.BigInteger(), nullable=False),
        sa.Column("debts", postgresql.JSONB(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("deletion_on", sa.Date(), nullable=True),
        moment("created_at"),
    )
    op.create_index(op.f("ix_arrears_changes_contract_id"), "arrears_changes", ["contract_id"])


def create_extensions() -> None:
    op.create_table(
        "arrears_extensions",
        *of_contract("arrears_extensions"),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("first_on", sa.Date(), nullable=False),
        sa.Column("last_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        moment("created_at"),
        sa.CheckConstraint("last_on >= first_on", name=op.f("ck_arrears_extensions_some_days")),
    )
    op.create_index(op.f("ix_arrears_extensions_contract_id"), "arrears_extensions", ["contract_id"])


def create_deletions() -> None:
    op.create_table(
        "arrears_deletions",
        *of_contract("arrears_deletions"),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("announced_on", sa.Date(), nullable=False),
        moment("created_at"),
        sa.UniqueConstraint("kind", "object_id", name=op.f("uq_arrears_deletions_kind_object_id")),
    )
    op.create_index(op.f("ix_arrears_deletions_contract_id"), "arrears_deletions", ["contract_id"])


def downgrade() -> None:
    for table in ("arrears_deletions", "arrears_extensions", "arrears_changes", "arrears"):
        op.drop_table(table)
    op.drop_index("ix_contracts_in_arrears", "contracts")
    for column in ("arrears_owed_micros", "arrears_state"):
        op.drop_column("contracts", column)
