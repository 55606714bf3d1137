"""A run tells its node; ops drains nodes, plans maintenance, and chooses in which order a pool takes jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None

DISCIPLINES = "('fair', 'first-come', 'shortest-remaining-service', 'least-attained-service')"


def upgrade() -> None:
    op.add_column("runs", sa.Column("node", sa.String(), nullable=True))
    op.add_column("pools", sa.Column("discipline", sa.String(), nullable=False, server_default="fair"))
    drained = sa.Column("drained_nodes", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    op.add_column("pools", drained)
    planned = sa.Column("maintenance_told", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb"))
    op.add_column("pools", planned)
    for name in ("discipline", "drained_nodes", "maintenance_told"):
        op.alter_column("pools", name, server_default=None)
    op.create_check_constraint(op.f("ck_pools_discipline_known"), "pools", f"discipline IN {DISCIPLINES}")


def downgrade() -> None:
    for name in ("discipline", "drained_nodes", "maintenance_told"):
        op.drop_column("pools", name)
    op.drop_column("runs", "node")
