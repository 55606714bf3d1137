"""A run knows the type of its devices, since its hours are priced by it.

Revision ID: 0030
Revises: 0029
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("runs", sa.Column("gpu_type", sa.String(), nullable=True))
    op.execute("UPDATE runs SET gpu_type = pools.sku FROM pools WHERE pools.name = runs.pool")


def downgrade() -> None:
    op.drop_column("runs", "gpu_type")
