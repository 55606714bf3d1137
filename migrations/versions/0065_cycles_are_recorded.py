"""What cycles were planned from is recorded, so that a window can be replayed; it is appended to, and swept by age."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recorded_cycles",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("is_baseline", sa.Boolean(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("record", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recorded_cycles")),
    )
    op.create_index(op.f("ix_recorded_cycles_created_at"), "recorded_cycles", ["created_at"])
    op.execute("GRANT SELECT, INSERT, DELETE ON recorded_cycles TO broker_app")
    op.execute("GRANT USAGE, SELECT ON SEQUENCE recorded_cycles_id_seq TO broker_app")


def downgrade() -> None:
    op.drop_table("recorded_cycles")
