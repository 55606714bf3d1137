"""A job says which GPU types it may run on, which it would rather have, and by when it should have ended.

Jobs of before run on any type, as they did.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("gpu_types", postgresql.JSONB(), nullable=True))
    op.add_column("jobs", sa.Column("prefer", sa.String(), nullable=False, server_default="cheapest"))
    op.add_column("jobs", sa.Column("finish_by", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("jobs", "prefer", server_default=None)


def downgrade() -> None:
    for name in ("gpu_types", "prefer", "finish_by"):
        op.drop_column("jobs", name)
