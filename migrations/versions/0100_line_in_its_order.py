"""The line can be paged in its order: jobs that wait are found by the place that they were told."""

from alembic import op

revision = "0100"
down_revision = "0099"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_jobs_waiting_place ON jobs (((pending_reason ->> 'position')::bigint), queue)"
        " WHERE status = 'queued'"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_jobs_waiting_place")
