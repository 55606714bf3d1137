"""What ops sets of a contract's share and quota; GPU-hours of a queue within a window."""

import sqlalchemy as sa
from alembic import op

revision = "0083"
down_revision = "0082"
branch_labels = None
depends_on = None

SCOPE, CUSTOMERS = "current_setting('broker.scope', true)", "current_setting('broker.customer_id', true)"
OWN = f"(SELECT {SCOPE} = 'all') OR ((SELECT {SCOPE} = 'tenant') AND customer_id = (SELECT {CUSTOMERS}))"
OF_BATCH = f"(SELECT {SCOPE} = 'tenants') AND customer_id = ANY ((SELECT string_to_array({CUSTOMERS}, ','))::text[])"


def upgrade() -> None:
    op.create_table(
        "contract_quotas",
        sa.Column("contract_id", sa.String, primary_key=True),
        sa.Column("customer_id", sa.String, sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("weight", sa.BigInteger, nullable=False),
        sa.Column("max_gpus", sa.BigInteger),
        sa.Column("max_jobs", sa.BigInteger),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["contract_id", "customer_id"], ["contracts.id", "contracts.customer_id"]),
        sa.CheckConstraint("weight > 0", name=op.f("ck_contract_quotas_weight_positive")),
        sa.CheckConstraint("max_gpus > 0", name=op.f("ck_contract_quotas_max_gpus_positive")),
        sa.CheckConstraint("max_jobs > 0", name=op.f("ck_contract_quotas_max_jobs_positive")),
    )
    op.execute("ALTER TABLE contract_quotas ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE contract_quotas FORCE ROW LEVEL SECURITY")
    for policy, condition in (("own_rows", OWN), ("rows_of_batch", OF_BATCH)):
        op.execute(f"CREATE POLICY {policy} ON contract_quotas USING ({condition}) WITH CHECK ({condition})")
    op.execute("GRANT SELECT, INSERT, UPDATE ON contract_quotas TO broker_app")
    for column in ("max_gpu_hours", "window_hours"):
        op.add_column("queues", sa.Column(column, sa.BigInteger))
    op.create_check_constraint(
        op.f("ck_queues_window_whole"), "queues", "(max_gpu_hours IS NULL) = (window_hours IS NULL)"
    )
    op.create_check_constraint(op.f("ck_queues_max_gpu_hours_positive"), "queues", "max_gpu_hours > 0")
    op.create_check_constraint(op.f("ck_queues_window_hours_positive"), "queues", "window_hours > 0")
    op.execute("CREATE INDEX ix_queues_bounded ON queues (name) WHERE state = 'draining' OR max_gpus IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_queues_bounded", "queues")
    for name in ("window_hours_positive", "max_gpu_hours_positive", "window_whole"):
        op.drop_constraint(op.f(f"ck_queues_{name}"), "queues")
    for column in ("window_hours", "max_gpu_hours"):
        op.drop_column("queues", column)
    op.drop_table("contract_quotas")
