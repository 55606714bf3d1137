"""Agents register; a run belongs to one, and so does what is asked of its engine; a pool rests after failed starts."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ACTIVE_RUN = sa.text("status IN ('starting', 'running')")
PENDING = sa.text("done_at IS NULL")


def upgrade() -> None:
    create_agents()
    op.add_column("pools", sa.Column("agent_id", sa.String(), nullable=True))
    op.add_column("pools", sa.Column("failed_starts", sa.BigInteger(), nullable=False, server_default="0"))
    op.alter_column("pools", "failed_starts", server_default=None)
    op.add_column("pools", sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("pools", sa.Column("rest_reason", sa.String(), nullable=True))
    op.create_foreign_key(op.f("fk_pools_agent_id_agents"), "pools", "agents", ["agent_id"], ["id"])
    op.add_column("runs", sa.Column("agent_id", sa.String(), nullable=True))
    op.create_foreign_key(op.f("fk_runs_agent_id_agents"), "runs", "agents", ["agent_id"], ["id"])
    op.create_index("ix_runs_active_agent", "runs", ["agent_id"], unique=False, postgresql_where=ACTIVE_RUN)
    op.add_column("jobs", sa.Column("uncounted_attempts", sa.BigInteger(), nullable=False, server_default="0"))
    op.alter_column("jobs", "uncounted_attempts", server_default=None)
    readdress_outbox("pool", "recipient")


def create_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=False),
        sa.Column("data_dir", sa.String(), nullable=False),
        sa.Column("engine", sa.String(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("gpus", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("gpus >= 0", name=op.f("ck_agents_gpus_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_index(op.f("ix_agents_pool"), "agents", ["pool"], unique=False)
    op.execute("GRANT SELECT, INSERT, UPDATE ON agents TO broker_app")


def readdress_outbox(before: str, after: str) -> None:
    op.drop_index("ix_outbox_pending", table_name="outbox", postgresql_where=PENDING)
    op.alter_column("outbox", before, new_column_name=after)
    op.create_index("ix_outbox_pending", "outbox", [after, "id"], unique=False, postgresql_where=PENDING)


def downgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute("UPDATE outbox SET recipient = runs.pool FROM runs WHERE runs.id = outbox.run_id")
    readdress_outbox("recipient", "pool")
    op.drop_column("jobs", "uncounted_attempts")
    op.drop_index("ix_runs_active_agent", table_name="runs", postgresql_where=ACTIVE_RUN)
    op.drop_column("runs", "agent_id")
    for column in ("rest_reason", "rests_until", "failed_starts", "agent_id"):
        op.drop_column("pools", column)
    op.drop_index(op.f("ix_agents_pool"), table_name="agents")
    op.drop_table("agents")
