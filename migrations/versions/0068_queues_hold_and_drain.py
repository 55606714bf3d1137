"""A queue is open, holding or draining. One that was closed took jobs and started none: it is holding."""

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("queues", sa.Column("state", sa.String(), nullable=False, server_default="open"))
    op.alter_column("queues", "state", server_default=None)
    op.execute("UPDATE queues SET state = 'holding' WHERE NOT open")
    op.create_check_constraint(op.f("ck_queues_state_known"), "queues", "state IN ('open', 'holding', 'draining')")
    op.create_index("ix_queues_draining", "queues", ["name"], postgresql_where=sa.text("state = 'draining'"))
    op.drop_column("queues", "open")


def downgrade() -> None:
    op.add_column("queues", sa.Column("open", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute("UPDATE queues SET open = state <> 'holding'")
    op.alter_column("queues", "open", server_default=None)
    op.drop_index("ix_queues_draining", table_name="queues")
    op.drop_column("queues", "state")
