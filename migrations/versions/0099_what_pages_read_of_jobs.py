"""What pages read of jobs: the training losses of steps, as workers tell them, and an index by customer and status.

The index takes the place of that by customer alone: a page of a customer's jobs and their counts are read off it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0099"
down_revision = "0098"
branch_labels = None
depends_on = None

SCOPE, CUSTOMERS = "current_setting('broker.scope', true)", "current_setting('broker.customer_id', true)"
OWN = f"(SELECT {SCOPE} = 'all') OR ((SELECT {SCOPE} = 'tenant') AND customer_id = (SELECT {CUSTOMERS}))"
OF_BATCH = f"(SELECT {SCOPE} = 'tenants') AND customer_id = ANY ((SELECT string_to_array({CUSTOMERS}, ','))::text[])"


def upgrade() -> None:
    op.create_table(
        "loss_points",
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("first_step", sa.BigInteger, nullable=False),
        sa.Column("mean", sa.Float, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "run_id", "step", name=op.f("pk_loss_points")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_loss_points_customer_id_customers")),
    )
    for switch in ("ENABLE", "FORCE"):
        op.execute(f"ALTER TABLE loss_points {switch} ROW LEVEL SECURITY")
    for policy, condition in (("own_rows", OWN), ("rows_of_batch", OF_BATCH)):
        op.execute(f"CREATE POLICY {policy} ON loss_points USING ({condition}) WITH CHECK ({condition})")
    op.execute("GRANT SELECT, INSERT, UPDATE ON loss_points TO broker_app")
    op.create_index("ix_jobs_customer_status", "jobs", ["customer_id", "status", "id"])
    op.drop_index("ix_jobs_customer_id", "jobs")


def downgrade() -> None:
    op.create_index("ix_jobs_customer_id", "jobs", ["customer_id"])
    op.drop_index("ix_jobs_customer_status", "jobs")
    op.drop_table("loss_points")
