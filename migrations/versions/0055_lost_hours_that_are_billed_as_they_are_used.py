"""Compensations name the grant that they came back of, and whether they are billed as they are used.

Those from before stay what they were promised to be: free where nobody had paid for them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("grants", sa.Column("arrears", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("grants", "arrears", server_default=None)
    op.add_column("grants", sa.Column("compensates_id", sa.String(), sa.ForeignKey("grants.id"), nullable=True))
    op.create_check_constraint("paid_once", "grants", "NOT (advance AND arrears)")


def downgrade() -> None:
    op.drop_column("grants", "compensates_id")
    op.drop_column("grants", "arrears")
