"""Jobs that were submitted in one request are a batch, of which so many may run at one time."""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("batch_id", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("batch_at_once", sa.BigInteger(), nullable=True))
    op.create_index("ix_jobs_batch", "jobs", ["batch_id"], postgresql_where=sa.text("batch_id IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_jobs_batch", table_name="jobs")
    op.drop_column("jobs", "batch_at_once")
    op.drop_column("jobs", "batch_id")
