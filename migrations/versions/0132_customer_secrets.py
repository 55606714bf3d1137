"""Secrets of customers, sealed, and which of them a job tells as its tracker."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0132"
down_revision = "0131"
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
        "customer_secrets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("username", sa.String(), nullable=True),
        sa.Column("sealed_key", sa.String(), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_customer_secrets_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_customer_secrets_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_secrets")),
        sa.UniqueConstraint("customer_id", "name", name=op.f("uq_customer_secrets_customer_id_name")),
    )
    op.execute("ALTER TABLE customer_secrets ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE customer_secrets FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON customer_secrets USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON customer_secrets USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON customer_secrets TO {APP_ROLE}")
    op.add_column("jobs", sa.Column("tracker", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "tracker")
    op.drop_table("customer_secrets")
