"""Captures of late are found by their contract: the index by contract and month goes on by when they were charged."""

from alembic import op

revision = "0107"
down_revision = "0106"
branch_labels = None
depends_on = None

NAME = "ix_captures_contract_month"


def upgrade() -> None:
    op.drop_index(NAME, "captures")
    op.create_index(NAME, "captures", ["contract_id", "month", "created_at"])


def downgrade() -> None:
    op.drop_index(NAME, "captures")
    op.create_index(NAME, "captures", ["contract_id", "month"])
