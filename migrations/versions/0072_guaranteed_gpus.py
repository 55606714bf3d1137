"""A contract may have GPUs guaranteed to it; contracts of before have none."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None

GUARANTEED = "(guaranteed_gpus <> '[]'::jsonb OR jsonb_path_exists(changes, '$[*].values.guaranteed_gpus'))"


def upgrade() -> None:
    none = sa.text("'[]'::jsonb")
    op.add_column("contracts", sa.Column("guaranteed_gpus", JSONB, nullable=False, server_default=none))
    op.alter_column("contracts", "guaranteed_gpus", server_default=None)
    op.create_index("ix_contracts_guaranteed", "contracts", ["id"], postgresql_where=sa.text(GUARANTEED))


def downgrade() -> None:
    op.drop_index("ix_contracts_guaranteed", "contracts")
    op.drop_column("contracts", "guaranteed_gpus")
