"""A page of the line that is narrowed to one reason is found by the index, however rare the reason is."""

from alembic import op

revision = "0106"
down_revision = "0105"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX ix_jobs_waiting_place")
    op.execute(
        "CREATE INDEX ix_jobs_waiting_place"
        " ON jobs (((pending_reason ->> 'position')::bigint), queue, (pending_reason ->> 'code'))"
        " WHERE status = 'queued'"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_jobs_waiting_place")
    op.execute(
        "CREATE INDEX ix_jobs_waiting_place ON jobs (((pending_reason ->> 'position')::bigint), queue)"
        " WHERE status = 'queued'"
    )
