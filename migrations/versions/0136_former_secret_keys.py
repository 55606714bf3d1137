"""Keys that a secret had before, sealed: runs that were given one still write, and the broker strikes it out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0136"
down_revision = "0135"
branch_labels = None
depends_on = None


def upgrade() -> None:
    former = sa.Column("sealed_former_keys", ARRAY(sa.Text()), server_default="{}", nullable=False)
    op.add_column("customer_secrets", former)


def downgrade() -> None:
    op.drop_column("customer_secrets", "sealed_former_keys")
