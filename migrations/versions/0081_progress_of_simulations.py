"""A simulation tells how far it is.

Answers of before lack what is compared now: they are told to have failed, and can be asked for again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0081"
down_revision = "0080"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("queue_simulations", sa.Column("progress", sa.Float(), nullable=False, server_default="0"))
    op.alter_column("queue_simulations", "progress", server_default=None)
    op.execute("""
        UPDATE queue_simulations
        SET status = 'failed', result = NULL, fault = 'an earlier release worked it out, which compared less: ask again'
        WHERE status = 'done'
    """)


def downgrade() -> None:
    op.drop_column("queue_simulations", "progress")
