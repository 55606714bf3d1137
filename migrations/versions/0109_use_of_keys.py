"""When a key was used last, to the minute: written for many keys at once, never by a request."""

import sqlalchemy as sa
from alembic import op

revision = "0109"
down_revision = "0108"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_sessions_api_key_id"), "sessions", ["api_key_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_sessions_api_key_id"), "sessions")
    op.drop_column("api_keys", "last_used_at")
