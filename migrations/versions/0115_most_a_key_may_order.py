"""A key says what a job may cost that a client of another service orders without a limit of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0115"
down_revision = "0114"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("max_cost_micros", sa.BigInteger, nullable=True))


def downgrade() -> None:
    op.drop_column("api_keys", "max_cost_micros")
