"""Usage that is not believed is kept in quarantine; a run tells what it has used."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
ADD_UP = """
    UPDATE runs SET used_gpu_seconds = used.gpu_seconds, used_tokens = used.tokens
    FROM (SELECT run_id, sum(gpu_seconds) AS gpu_seconds, sum(tokens) AS tokens FROM usage_events GROUP BY run_id) used
    WHERE used.run_id = runs.id
"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    for column in ("used_gpu_seconds", "used_tokens"):
        op.add_column("runs", sa.Column(column, sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(ADD_UP)
    for column in ("used_gpu_seconds", "used_tokens"):
        op.alter_column("runs", column, server_default=None)
    create_quarantine()
    op.execute("ALTER TABLE quarantined_usage ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE quarantined_usage FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON quarantined_usage USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT SELECT, INSERT ON quarantined_usage TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON quarantined_usage"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def create_quarantine() -> None:
    owners = ("customer_id", "contract_id", "job_id", "run_id")
    op.create_table(
        "quarantined_usage",
        sa.Column("id", sa.String(), nullable=False),
        *[sa.Column(owner, sa.String(), nullable=False) for owner in owners],
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        *[sa.Column(moment, sa.DateTime(timezone=True), nullable=False) for moment in ("started_at", "ended_at")],
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantined_usage")),
        sa.UniqueConstraint("run_id", "sequence", name=op.f("uq_quarantined_usage_run_id_sequence")),
        *[
            sa.ForeignKeyConstraint(
                [owner],
                [f"{owner.removesuffix('_id')}s.id"],
                name=op.f(f"fk_quarantined_usage_{owner}_{owner.removesuffix('_id')}s"),
            )
            for owner in owners
        ],
    )
    for column in ("contract_id", "job_id", "reason"):
        op.create_index(op.f(f"ix_quarantined_usage_{column}"), "quarantined_usage", [column], unique=False)


def downgrade() -> None:
    op.drop_table("quarantined_usage")
    op.drop_column("runs", "used_tokens")
    op.drop_column("runs", "used_gpu_seconds")
