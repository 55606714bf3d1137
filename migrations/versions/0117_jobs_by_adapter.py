"""Jobs are found by the adapter that they have made, and by the one that they go on from."""

from alembic import op

revision = "0117"
down_revision = "0116"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_jobs_adapter ON jobs (adapter_id) WHERE adapter_id IS NOT NULL")
    op.execute(
        "CREATE INDEX ix_jobs_init_from ON jobs ((config ->> 'init_from')) WHERE (config ->> 'init_from') IS NOT NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_jobs_init_from")
    op.execute("DROP INDEX ix_jobs_adapter")
