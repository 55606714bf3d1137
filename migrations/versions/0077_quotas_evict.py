"""A run may also make way for a lowered quota: then there is no other job, nor anything kept for it."""

from alembic import op

revision = "0077"
down_revision = "0076"
branch_labels = None
depends_on = None

OF_ANOTHER_JOB = ("for_job_id", "for_contract_id", "node", "for_price_micros", "lost_micros")


def upgrade() -> None:
    for name in OF_ANOTHER_JOB:
        op.alter_column("evictions", name, nullable=True)


def downgrade() -> None:
    """Go back to evictions for other jobs alone; refused where there are others, which are records."""
    for name in OF_ANOTHER_JOB:
        op.alter_column("evictions", name, nullable=False)
