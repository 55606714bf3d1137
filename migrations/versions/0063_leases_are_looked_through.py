"""The leases of active runs have no index: they are as few as devices, and each heartbeat moves its own.

A column of an index that changes makes PostgreSQL write the row's new version into all of its indexes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None

ACTIVE = "status IN ('starting', 'running')"


def upgrade() -> None:
    op.drop_index("ix_runs_active_lease", table_name="runs")


def downgrade() -> None:
    op.create_index("ix_runs_active_lease", "runs", ["lease_expires_at"], postgresql_where=sa.text(ACTIVE))
