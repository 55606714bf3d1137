"""A data set's report may be that of a job, which has opened every picture and read every row."""

from alembic import op

revision = "0131"
down_revision = "0130"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE datasets
            ADD COLUMN checked_at timestamptz, ADD COLUMN checked_job_id varchar, ADD COLUMN checked_run_id varchar
        """
    )
    op.execute("CREATE INDEX ix_datasets_checked_job_id ON datasets (checked_job_id)")


def downgrade() -> None:
    op.execute("ALTER TABLE datasets DROP COLUMN checked_at, DROP COLUMN checked_job_id, DROP COLUMN checked_run_id")
