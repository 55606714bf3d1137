"""Fapiao (发票): requested by customers, issued and taken back by finance, with their files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0085"
down_revision = "0084"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
IN_BATCH = (
    "current_setting('broker.scope', true) = 'tenants'"
    " AND customer_id = ANY (string_to_array(current_setting('broker.customer_id', true), ','))"
)


def upgrade() -> None:
    create_fapiao()
    create_files()
    for table, rights in (("fapiao", "SELECT, INSERT, UPDATE"), ("fapiao_files", "SELECT, INSERT")):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({IN_BATCH}) WITH CHECK ({IN_BATCH})")
        op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")
    op.execute(f"GRANT USAGE ON SEQUENCE fapiao_files_id_seq TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON fapiao_files"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def create_fapiao() -> None:
    op.create_table(
        "fapiao",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", postgresql.JSONB(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("tax_rate", sa.Numeric(6, 4), nullable=False),
        sa.Column("tax_micros", sa.BigInteger(), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("capitals", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=True),
        sa.Column("issued_on", sa.Date(), nullable=True),
        sa.Column("red_of_id", sa.String(), nullable=True),
        sa.Column("red_reason", sa.String(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(red_of_id IS NULL) = (amount_micros > 0)", name=op.f("ck_fapiao_red_below_zero")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_fapiao_customer_id_customers")),
        sa.ForeignKeyConstraint(["red_of_id"], ["fapiao.id"], name=op.f("fk_fapiao_red_of_id_fapiao")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fapiao")),
        sa.UniqueConstraint("number", name=op.f("uq_fapiao_number")),
    )
    for column in ("customer_id", "red_of_id"):
        op.create_index(op.f(f"ix_fapiao_{column}"), "fapiao", [column])


def create_files() -> None:
    op.create_table(
        "fapiao_files",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("fapiao_id", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_fapiao_files_customer_id_customers")),
        sa.ForeignKeyConstraint(["fapiao_id"], ["fapiao.id"], name=op.f("fk_fapiao_files_fapiao_id_fapiao")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fapiao_files")),
        sa.UniqueConstraint("fapiao_id", "format", name=op.f("uq_fapiao_files_fapiao_id_format")),
    )


def downgrade() -> None:
    for table in ("fapiao_files", "fapiao"):
        op.drop_table(table)
