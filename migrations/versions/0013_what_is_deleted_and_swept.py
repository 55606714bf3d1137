"""Data sets and adapters are deleted by a mark, checkpoints are swept by one; done messages of the outbox go."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
MARKED = ("datasets", "adapters", "checkpoints")


def upgrade() -> None:
    for table in MARKED:
        op.add_column(table, sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(f"GRANT DELETE ON outbox TO {APP_ROLE}")


def downgrade() -> None:
    op.execute(f"REVOKE DELETE ON outbox FROM {APP_ROLE}")
    for table in MARKED:
        op.drop_column(table, "deleted_at")
