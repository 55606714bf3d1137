"""Contracts are renewed: by themselves where they say so, and each knows the one that it follows."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contracts", sa.Column("auto_renew", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("contracts", "auto_renew", server_default=None)
    op.add_column("contracts", sa.Column("renewed_from_id", sa.String(), nullable=True))
    op.create_foreign_key(
        op.f("fk_contracts_renewed_from_id_contracts"), "contracts", "contracts", ["renewed_from_id"], ["id"]
    )


def downgrade() -> None:
    op.drop_column("contracts", "renewed_from_id")
    op.drop_column("contracts", "auto_renew")
