"""What a hold lets go of a grant that is over, though its run had lost it by our doing, is given as a compensation."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

WITHIN = "compensated_within_released"


def upgrade() -> None:
    op.add_column("hold_legs", sa.Column("compensated", sa.BigInteger(), nullable=False, server_default="0"))
    op.alter_column("hold_legs", "compensated", server_default=None)
    op.create_check_constraint(
        op.f(f"ck_hold_legs_{WITHIN}"), "hold_legs", "compensated >= 0 AND compensated <= released"
    )


def downgrade() -> None:
    op.drop_constraint(op.f(f"ck_hold_legs_{WITHIN}"), "hold_legs", type_="check")
    op.drop_column("hold_legs", "compensated")
