"""A capture says of which plan its price is: volume tiers are a plan's, and overage may be sold at another's.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("captures", sa.Column("plan", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("captures", "plan")
