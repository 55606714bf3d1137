"""A contract may agree on how long its drafts stay open and who makes them final; else the settings say it."""

import sqlalchemy as sa
from alembic import op

revision = "0105"
down_revision = "0104"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contracts", sa.Column("draft_working_days", sa.BigInteger(), nullable=True))
    op.add_column("contracts", sa.Column("finalizes", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("contracts", "finalizes")
    op.drop_column("contracts", "draft_working_days")
