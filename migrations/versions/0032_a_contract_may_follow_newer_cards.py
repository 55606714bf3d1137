"""A contract pins the rate card of its signing, as all did so far, or follows the newest one.

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contracts", sa.Column("card_choice", sa.String(), nullable=False, server_default="pinned"))
    op.alter_column("contracts", "card_choice", server_default=None)


def downgrade() -> None:
    op.drop_column("contracts", "card_choice")
