"""An agent tells the nodes of its engine: the machines of a cluster, as they come and go. One machine tells none."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None


def upgrade() -> None:
    nodes = sa.Column("nodes_told", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb"))
    op.add_column("agents", nodes)
    op.alter_column("agents", "nodes_told", server_default=None)


def downgrade() -> None:
    op.drop_column("agents", "nodes_told")
