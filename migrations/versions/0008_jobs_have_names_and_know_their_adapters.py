"""Jobs have names, and know the adapters that they have made."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("jobs", sa.Column("name", sa.String()))
    op.add_column("jobs", sa.Column("adapter_id", sa.String()))
    op.execute("UPDATE jobs SET adapter_id = adapters.id FROM adapters WHERE adapters.job_id = jobs.id")


def downgrade() -> None:
    op.drop_column("jobs", "adapter_id")
    op.drop_column("jobs", "name")
