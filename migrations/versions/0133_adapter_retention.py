"""How many versions of its adapters a customer keeps: a rule for a name, or for all others."""

import sqlalchemy as sa
from alembic import op

revision = "0133"
down_revision = "0132"
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


def upgrade() -> None:
    op.create_table(
        "adapter_retention",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("kept_versions", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_adapter_retention_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_retention")),
        sa.UniqueConstraint(
            "customer_id",
            "name",
            name=op.f("uq_adapter_retention_customer_id_name"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.execute("ALTER TABLE adapter_retention ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE adapter_retention FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON adapter_retention USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON adapter_retention USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON adapter_retention TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("adapter_retention")
