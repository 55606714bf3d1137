"""Tokens are counted once for each data set and tokenizer, part by part; a data set counts its findings by level."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
TABLES = ("token_counts", "token_count_parts")
SEES_ALL = "current_setting('broker.scope', true) = 'all'"
IS_TENANT = "current_setting('broker.scope', true) = 'tenant'"
OWN_ID = "current_setting('broker.customer_id', true)"


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    create_counts()
    create_parts()
    for table in TABLES:
        isolate(table)
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}")
    add_finding_counts()


def create_counts() -> None:
    op.create_table(
        "token_counts",
        sa.Column("dataset_id", sa.String(), sa.ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("tokenizer", sa.String(), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("base_model", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("rows", "counted", "parts", "failures")),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("error", "claimed_by")),
        *(moment(name) for name in ("claimed_until", "turn_at", "asked_at", "counted_at")),
        moment("created_at", nullable=False),
    )
    op.create_index(
        "ix_token_counts_open",
        "token_counts",
        ["customer_id"],
        postgresql_where=sa.text("counted_at IS NULL AND error IS NULL"),
    )


def create_parts() -> None:
    key = ["dataset_id", "tokenizer"]
    op.create_table(
        "token_count_parts",
        sa.Column("dataset_id", sa.String(), primary_key=True),
        sa.Column("tokenizer", sa.String(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            key,
            [f"token_counts.{column}" for column in key],
            name="fk_token_count_parts_token_counts",
            ondelete="CASCADE",
        ),
    )


def moment(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def isolate(table: str) -> None:
    mine = f"{SEES_ALL} OR ({IS_TENANT} AND customer_id = {OWN_ID})"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({mine}) WITH CHECK ({mine})")


def add_finding_counts() -> None:
    op.add_column("datasets", sa.Column("finding_counts", JSONB(), nullable=False, server_default="{}"))
    op.execute(
        """UPDATE datasets SET finding_counts = (
               SELECT jsonb_build_object(
                   'error', count(*) FILTER (WHERE finding ->> 'level' = 'error'),
                   'warning', count(*) FILTER (WHERE finding ->> 'level' = 'warning'),
                   'hint', count(*) FILTER (WHERE finding ->> 'level' = 'hint'))
               FROM jsonb_array_elements(findings) AS finding)"""
    )
    op.alter_column("datasets", "finding_counts", server_default=None)


def downgrade() -> None:
    op.drop_column("datasets", "finding_counts")
    for table in reversed(TABLES):
        op.drop_table(table)
