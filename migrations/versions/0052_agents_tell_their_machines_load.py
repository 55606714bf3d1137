"""Agents tell how busy their machine is, so that a quote says it of any machine, not only of the broker's own."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("machine_load", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("agents", "machine_load")
