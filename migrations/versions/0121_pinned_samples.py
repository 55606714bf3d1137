"""Customers pin the samples of steps that they want to look at again: beside what they note of a job."""

from alembic import op

revision = "0121"
down_revision = "0120"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE job_notes ADD COLUMN pinned_steps bigint[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE job_notes DROP COLUMN pinned_steps")
