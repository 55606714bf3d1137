"""Runs that make room for other jobs are recorded; a dedicated queue says how much of its guarantee is lent."""

import sqlalchemy as sa
from alembic import op

revision = "0075"
down_revision = "0074"
branch_labels = None
depends_on = None

SCOPE, CUSTOMERS = "current_setting('broker.scope', true)", "current_setting('broker.customer_id', true)"
OWN_ROWS = f"(SELECT {SCOPE} = 'all') OR ((SELECT {SCOPE} = 'tenant') AND customer_id = (SELECT {CUSTOMERS}))"
ROWS_OF_BATCH = (
    f"(SELECT {SCOPE} = 'tenants') AND customer_id = ANY ((SELECT string_to_array({CUSTOMERS}, ','))::text[])"
)


def upgrade() -> None:
    op.add_column("queues", sa.Column("lending_limit", sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_queues_lending_limit_not_negative"), "queues", "lending_limit >= 0")
    op.create_table(
        "evictions",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("for_job_id", sa.String(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("for_contract_id", sa.String(), sa.ForeignKey("contracts.id"), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("gpus", sa.BigInteger(), nullable=False),
        sa.Column("kept_gpus", sa.BigInteger(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("for_price_micros", sa.BigInteger(), nullable=False),
        sa.Column("lost_micros", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index(op.f("ix_evictions_job_id"), "evictions", ["job_id"])
    op.create_index(op.f("ix_evictions_created_at"), "evictions", ["created_at"])
    op.execute("ALTER TABLE evictions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE evictions FORCE ROW LEVEL SECURITY")
    for name, condition in (("own_rows", OWN_ROWS), ("rows_of_batch", ROWS_OF_BATCH)):
        op.execute(f"CREATE POLICY {name} ON evictions USING ({condition}) WITH CHECK ({condition})")
    op.execute("GRANT SELECT, INSERT ON evictions TO broker_app")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON evictions"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("evictions")
    op.drop_constraint(op.f("ck_queues_lending_limit_not_negative"), "queues")
    op.drop_column("queues", "lending_limit")
