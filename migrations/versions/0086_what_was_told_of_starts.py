"""What waiting jobs were told about their start, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0086"
down_revision = "0085"
branch_labels = None
depends_on = None

SCOPE, CUSTOMERS = "current_setting('broker.scope', true)", "current_setting('broker.customer_id', true)"
OWN = f"(SELECT {SCOPE} = 'all') OR ((SELECT {SCOPE} = 'tenant') AND customer_id = (SELECT {CUSTOMERS}))"
OF_BATCH = f"(SELECT {SCOPE} = 'tenants') AND customer_id = ANY ((SELECT string_to_array({CUSTOMERS}, ','))::text[])"


def upgrade() -> None:
    op.create_table(
        "start_promises",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("customer_id", sa.String, sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("queue", sa.String, nullable=False),
        sa.Column("gpus", sa.BigInteger, nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("p50", sa.DateTime(timezone=True), nullable=False),
        sa.Column("p90", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latest", sa.DateTime(timezone=True)),
        sa.Column("slips", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
    )
    op.create_index(
        "uq_start_promises_one_open",
        "start_promises",
        ["job_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("ix_start_promises_told_at", "start_promises", ["told_at"])
    for switch in ("ENABLE", "FORCE"):
        op.execute(f"ALTER TABLE start_promises {switch} ROW LEVEL SECURITY")
    for policy, condition in (("own_rows", OWN), ("rows_of_batch", OF_BATCH)):
        op.execute(f"CREATE POLICY {policy} ON start_promises USING ({condition}) WITH CHECK ({condition})")
    op.execute("GRANT SELECT, INSERT, UPDATE ON start_promises TO broker_app")
    op.execute("GRANT USAGE, SELECT ON SEQUENCE start_promises_id_seq TO broker_app")


def downgrade() -> None:
    op.drop_table("start_promises")
