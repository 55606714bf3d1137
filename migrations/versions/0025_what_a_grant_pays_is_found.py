"""What a grant pays for is found at once: its holds and its captures."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

OF_A_GRANT = sa.text("grant_id IS NOT NULL")


def upgrade() -> None:
    op.create_index("ix_hold_legs_grant", "hold_legs", ["grant_id"], postgresql_where=OF_A_GRANT)
    op.create_index("ix_captures_grant", "captures", ["grant_id", "id"], postgresql_where=OF_A_GRANT)


def downgrade() -> None:
    op.drop_index("ix_captures_grant", "captures")
    op.drop_index("ix_hold_legs_grant", "hold_legs")
