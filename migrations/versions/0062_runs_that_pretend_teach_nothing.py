"""A run on a machine that only pretends to have its GPUs teaches the estimator nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("pretends", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("runs", "pretends", server_default=None)


def downgrade() -> None:
    op.drop_column("runs", "pretends")
