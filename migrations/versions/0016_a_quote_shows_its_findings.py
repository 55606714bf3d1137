"""A quote keeps what is wrong with its data; those that were made before have nothing to say of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("quotes", sa.Column("findings", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("quotes", "findings")
