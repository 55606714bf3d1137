"""Sweeps find what concerns them among the jobs that wait, however many do, by indexes of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0090"
down_revision = "0089"
branch_labels = None
depends_on = None

WAITS, IS_OPEN = sa.text("status = 'queued'"), sa.text("closed_at IS NULL")
IS_PAUSED = sa.text("status = 'paused'")


def upgrade() -> None:
    op.create_index("ix_jobs_waiting_contract", "jobs", ["contract_id"], postgresql_where=WAITS)
    op.create_index("ix_jobs_paused", "jobs", ["pause_reason"], postgresql_where=IS_PAUSED)
    op.create_index("ix_start_promises_open_latest", "start_promises", ["latest"], postgresql_where=IS_OPEN)


def downgrade() -> None:
    op.drop_index("ix_start_promises_open_latest", "start_promises")
    op.drop_index("ix_jobs_paused", "jobs")
    op.drop_index("ix_jobs_waiting_contract", "jobs")
