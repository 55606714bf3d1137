"""What a customer notes of a job, and that it is pinned: beside the job, which is written at every heartbeat."""

import sqlalchemy as sa
from alembic import op

revision = "0110"
down_revision = "0109"
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
        "job_notes",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("notes", sa.String(), nullable=True),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_job_notes_customer_id_customers")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_notes_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_notes")),
    )
    op.create_index(op.f("ix_job_notes_customer_id"), "job_notes", ["customer_id"])
    op.execute("ALTER TABLE job_notes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE job_notes FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON job_notes USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON job_notes USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON job_notes TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("job_notes")
