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
    """Go back to the settings alone; refused where a contract agreed on its own: an older release would break that."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM contracts
                                     WHERE draft_working_days IS NOT NULL OR finalizes IS NOT NULL
                                        OR jsonb_path_exists(changes, '$[*].values.draft_working_days')
                                        OR jsonb_path_exists(changes, '$[*].values.finalizes')) THEN
               RAISE EXCEPTION 'contracts agreed on their drafts, which an older release does not know';
           END IF; END $$"""
    )
    op.drop_column("contracts", "finalizes")
    op.drop_column("contracts", "draft_working_days")
