"""What a job waited for is kept as it changes, so that its time until the start can be told by cause."""

import sqlalchemy as sa
from alembic import op

revision = "0101"
down_revision = "0100"
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
    op.create_table(
        "wait_causes",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wait_causes")),
    )
    op.create_index(op.f("ix_wait_causes_job_id"), "wait_causes", ["job_id"])
    op.execute("ALTER TABLE wait_causes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE wait_causes FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON wait_causes USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON wait_causes USING ({IN_BATCH}) WITH CHECK ({IN_BATCH})")
    op.execute(f"GRANT SELECT, INSERT ON wait_causes TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON wait_causes"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"GRANT USAGE, SELECT ON SEQUENCE wait_causes_id_seq TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("wait_causes")
