"""A contract says when hours that nobody used are charged: at the end of its term, or of each of its years."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("contracts", sa.Column("true_up", sa.String(), nullable=False, server_default="at_end"))
    # One without an end settled each of its years.
    op.execute(
        "UPDATE contracts SET true_up = 'yearly'"
        " WHERE ends_at IS NULL AND plan = 'long_term' AND committed_gpu_hours > 0"
    )
    op.alter_column("contracts", "true_up", server_default=None)


def downgrade() -> None:
    """Go back to true-ups at the end of the term; refused where years are trued up, or a commitment was amended."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM contracts
                                     WHERE true_up <> 'at_end' OR changes::text LIKE '%"commitment"%') THEN
               RAISE EXCEPTION 'commitments are trued up yearly or were amended, which an older release cannot read';
           END IF; END $$"""
    )
    op.drop_column("contracts", "true_up")
