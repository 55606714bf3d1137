"""What was swept, by kind, so that every process tells the same in /metrics."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"


def upgrade() -> None:
    op.create_table(
        "swept",
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON swept TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("swept")
