"""A quote lists the GPU types that pools have: on each what the job needs and costs, or why it does not fit there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("quotes", sa.Column("other_types", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("quotes", "other_types")
